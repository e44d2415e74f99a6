"""Fetching files from a hub that misbehaves, in this process: what is kept, what is dropped, and what is said."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.support.fake_hub import FakeHub, Fault
from webui.errors import DiskFull, error_from_wire
from webui.library.hub.received_file import ReceivedFile
from webui.library.hub.transfer import fetch
from webui.library.hub.transfer_order import Checking, FileDone, FileOrder, Order, Progress, Report, TransferFailed

NAME = "Model-Q4_K_M.gguf"
SIZE = 2_000_000


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def content(hub: FakeHub) -> bytes:
    content = b"GGUF" + os.urandom(SIZE - 4)
    hub.direct[f"/{NAME}"] = content
    return content


class Fetcher:
    """One file of the fake hub, fetched into `part`."""

    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub = hub
        self.part = folder / "0.part"

    def fetch(self, content: bytes | None = None, *, margin_bytes: int = 0, **more: object) -> list[Report]:
        """`content` is what is announced; None: nothing is."""
        known = {} if content is None else {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        fields = {"url": f"{self.hub.endpoint}/{NAME}", "part": str(self.part), "name": NAME} | known | more
        file = msgspec.convert(fields, FileOrder)
        reports: list[Report] = []
        fetch(Order(files=(file,), margin_bytes=margin_bytes, first_pause_seconds=0.001), reports.append)
        return reports

    @property
    def ranges(self) -> list[str | None]:
        return [each.range for each in self.hub.asked_for(NAME)]


@pytest.fixture
def fetcher(hub: FakeHub, tmp_path: Path) -> Fetcher:
    return Fetcher(hub, tmp_path)


def failure(reports: list[Report]) -> tuple[str, str]:
    """Code and sentence of the error at the end."""
    last = reports[-1]
    assert isinstance(last, TransferFailed), reports
    return last.code, str(error_from_wire(last.code, last.details))


def test_a_file_comes_whole_and_its_digest_is_known(fetcher: Fetcher, content: bytes) -> None:
    *progress, done = fetcher.fetch(content)
    assert done == FileDone(file=0, size_bytes=SIZE, sha256=hashlib.sha256(content).hexdigest())
    assert progress[0] == Progress(file=0, bytes=0)
    assert progress[-1] == Progress(file=0, bytes=SIZE)
    assert fetcher.part.read_bytes() == content


def test_broken_lines_are_waited_out(fetcher: Fetcher, hub: FakeHub, content: bytes) -> None:
    hub.drop_after(NAME, 500_000)
    hub.refuse(NAME, 503, Retry_After="0")
    hub.fault(NAME, Fault(drop_after=0))
    hub.fault(NAME, Fault(ignores_range=True, drop_after=1_000_000))  # begins anew, and breaks off again
    assert isinstance(fetcher.fetch(content)[-1], FileDone)
    assert fetcher.part.read_bytes() == content
    assert fetcher.ranges == [None, *["bytes=500000-"] * 3, "bytes=1000000-"]


def test_it_goes_on_where_another_process_left_off(fetcher: Fetcher, content: bytes) -> None:
    fetcher.part.write_bytes(content[:1_500_000])
    reports = fetcher.fetch(content)
    assert isinstance(reports[-1], FileDone)
    assert any(isinstance(each, Checking) for each in reports), "what is here is read again"
    assert fetcher.ranges == ["bytes=1500000-"]


def test_a_whole_file_is_not_asked_for_again(fetcher: Fetcher, content: bytes) -> None:
    fetcher.part.write_bytes(content)
    assert isinstance(fetcher.fetch(content)[-1], FileDone)
    assert fetcher.ranges == []


def test_a_beginning_of_another_file_is_found_out(fetcher: Fetcher, content: bytes) -> None:
    fetcher.part.write_bytes(b"GGUF" + bytes(1000))
    code, sentence = failure(fetcher.fetch(content))
    assert (code, "SHA-256" in sentence) == ("download_damaged", True)
    assert not fetcher.part.exists()


def test_a_file_of_unknown_length_begins_anew(fetcher: Fetcher, content: bytes) -> None:
    fetcher.part.write_bytes(content[:1000])
    assert isinstance(fetcher.fetch()[-1], FileDone)
    assert fetcher.ranges == [None]


def test_a_file_that_changed_behind_an_address_begins_anew(fetcher: Fetcher, hub: FakeHub, content: bytes) -> None:
    """With If-Range a server that has another file sends all of it, as this one does when it ignores the range."""
    fetcher.part.write_bytes(b"GGUF" + bytes(1000))
    hub.fault(NAME, Fault(ignores_range=True))
    assert isinstance(fetcher.fetch(size_bytes=SIZE, etag='"older"')[-1], FileDone)
    assert fetcher.part.read_bytes() == content


def test_files_beyond_what_the_hub_gives_at_once_come_in_pieces(
    fetcher: Fetcher, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.library.hub.transfer.PIECE_BYTES", 900_000)
    assert isinstance(fetcher.fetch(content)[-1], FileDone)
    assert fetcher.part.read_bytes() == content
    assert fetcher.ranges == ["bytes=0-899999", "bytes=900000-1799999", "bytes=1800000-"]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Fault(content=b"GGUF" + bytes(SIZE - 4)), "download_damaged", "SHA-256"),
        (Fault(content=b"GGUF" + bytes(SIZE)), "download_damaged", "longer"),
        (Fault(is_endless=True), "download_damaged", "longer"),
        (Fault(content=b"<html>Sign in to this network</html>"), "not_gguf", "not a GGUF"),
        (Fault(status=401), "hub_denied", "private"),
        (Fault(status=403), "hub_denied", "private"),
        (Fault(status=403, headers={"X-Error-Code": "GatedRepo"}), "hub_denied", "terms"),
        (Fault(status=404), "hub_not_found", "nothing at this address"),
        (Fault(status=418), "hub_answer_unusable", "status 418"),
        (Fault(status=429, headers={"Retry-After": "900"}), "hub_busy", "900 seconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(fetcher: Fetcher, content: bytes, fault: Fault, code: str, said: str) -> None:
    fetcher.hub.fault(NAME, fault)
    found, sentence = failure(fetcher.fetch(content))
    assert (found, said in sentence) == (code, True), sentence
    if code in {"download_damaged", "not_gguf"}:
        assert not fetcher.part.exists(), "nothing of a wrong file is gone on with"


def test_a_shorter_file_than_announced_is_found_out(fetcher: Fetcher, content: bytes) -> None:
    code, sentence = failure(fetcher.fetch(content + b"more"))
    assert (code, "shorter" in sentence) == ("download_damaged", True)


def test_patience_ends_and_what_came_is_kept(fetcher: Fetcher, hub: FakeHub, content: bytes) -> None:
    hub.drop_after(NAME, 500_000)
    for _ in range(10):
        hub.fault(NAME, Fault(drop_after=0))
    assert failure(fetcher.fetch(content))[0] == "hub_offline"
    assert fetcher.part.stat().st_size == 500_000


def test_a_disk_that_is_too_full_keeps_what_came(fetcher: Fetcher, content: bytes) -> None:
    """A transfer leaves a margin for everybody else; here that is more than any disk has."""
    fetcher.part.write_bytes(content[:1000])
    code, sentence = failure(fetcher.fetch(content, margin_bytes=1 << 60))
    assert (code, "Make room" in sentence) == ("disk_full", True)
    assert fetcher.part.stat().st_size == 1000


def test_a_disk_that_fills_up_in_the_middle_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ReceivedFile(tmp_path / "0.part", NAME, SIZE, 0, lambda _: None) as received:
        file = SimpleNamespace(write=refuse, close=vars(received)["_file"].close)
        monkeypatch.setattr(received, "_file", file)
        with pytest.raises(DiskFull, match="Make room"):
            received.write(b"GGUF")


def test_a_folder_that_cannot_be_written_is_named(fetcher: Fetcher, content: bytes, tmp_path: Path) -> None:
    code, sentence = failure(fetcher.fetch(content, part=str(tmp_path / "nowhere" / "0.part")))
    assert (code, NAME in sentence) == ("write_failed", True)


def test_two_never_write_one_file(fetcher: Fetcher, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webui.library.hub.file_lock._PATIENCE_SECONDS", 0.0)
    with ReceivedFile(fetcher.part, NAME, SIZE, 0, lambda _: None):
        code, sentence = failure(fetcher.fetch(content))
    assert (code, "another Glasshouse" in sentence) == ("write_failed", True)
    assert isinstance(fetcher.fetch(content)[-1], FileDone)
