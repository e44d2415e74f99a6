"""Whatever is in the input of a batch: it is told by its line, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core import batch_input
from webui.core.batch_input import BatchInput

GOOD = b'{"custom_id": "good", "method": "POST", "url": "/v1/x", "body": {"n": 1}}'
PIECES = st.sampled_from([b"\n", b"{", b"}", b'"custom_id"', b":", b'"a"', b"[" * 2000, b"\xff", b"\x00", b"1e999"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("input") / "in.jsonl"


@given(data=st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_no_bytes_can_break_it(path: Path, data: bytes) -> None:
    path.write_bytes(data + b"\n" + GOOD)
    num_lines, mistakes = BatchInput(path, "/v1/x").check()
    wrong = {mistake.line for mistake in mistakes}
    assert num_lines == len(wrong) + 1
    assert data.count(b"\n") + 2 not in wrong  # the good one


def test_a_line_that_is_endless_ends_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "MAX_LINE_BYTES", 200)
    path.write_bytes(GOOD + b"\n" + b"x" * 1000 + b"\n" + GOOD)
    _, mistakes = BatchInput(path, "/v1/x").check()
    assert [(each.line, each.code) for each in mistakes] == [(2, "line_too_long")]


def test_too_many_requests_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "MAX_LINES", 3)
    path.write_text("\n".join(GOOD.decode().replace("good", str(number)) for number in range(5)))
    _, mistakes = BatchInput(path, "/v1/x").check()
    assert [(each.line, each.code) for each in mistakes] == [(4, "too_many_tasks")]


def test_what_is_done_is_not_asked_again(path: Path) -> None:
    path.write_text("\n".join(GOOD.decode().replace("good", str(number)) for number in range(4)))
    lines = list(BatchInput(path, "/v1/x").lines({"0", "2"}))
    assert [(line.number, line.custom_id) for line in lines] == [(2, "1"), (4, "3")]
