"""JSON as models write it: what is valid passes as it is, what is not is mended, and nothing else ever comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.engine.tool_calls.lenient_json import LenientJson

MARK = "</tool_call>"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict | list))


def mend(text: str, size: int = 1) -> tuple[LenientJson, str]:
    reader = LenientJson((MARK,))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    parts = [part.text for piece in pieces for part in reader.feed(piece)]
    return reader, "".join([*parts, *(part.text for part in reader.finish())])


@given(VALUES, st.integers(1, 9), st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=150, deadline=None)
def test_valid_json_passes_unchanged(value: Any, size: int, is_escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_escaped, indent=indent)
    reader, read = mend(text + MARK, size)
    assert json.loads(read) == value
    assert not reader.is_mended
    assert reader.held == MARK


@given(st.text(alphabet="{}[],:\"'\\ \n-.019aeltrufn<", max_size=40), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_valid_json_comes_out_the_same_in_pieces_and_as_a_whole(text: str, size: int) -> None:
    reader, read = mend("{" + text, size)
    whole, read_whole = mend("{" + text, 100)
    assert not reader.is_broken
    json.loads(read)
    assert (read, reader.is_mended, reader.held) == (read_whole, whole.is_mended, whole.held)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b'}", {"a": "b"}),
        ("{a: 1, b_2: True, c: None}", {"a": 1, "b_2": True, "c": None}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ('{"a": {"b": [1, 2}}', {"a": {"b": [1, 2]}}),
        ('{"a": {"b": "c"', {"a": {"b": "c"}}),
        ('{"a": "b"</tool_call>', {"a": "b"}),
        ('{"a": "un', {"a": "un"}),
        ('{"a":', {"a": None}),
        ('{"a": "print("hi")", "b": 1}', {"a": 'print("hi")', "b": 1}),
        ('{"a": "line\nbreak\tand tab"}', {"a": "line\nbreak\tand tab"}),
        (r'{"a": "C:\dir \d+"}', {"a": r"C:\dir \d+"}),
        (r'{"a": "it\'s"}', {"a": "it's"}),
        ('{"a": .5, "b": +3, "c": 1_000}', {"a": 0.5, "b": 3, "c": 1000}),
        ('{"a": Bern}', {"a": "Bern"}),
        ("{“a”: “b”}", {"a": "b"}),
        ('{"a": 1]}', {"a": 1}),
    ],
)
def test_what_models_get_wrong_is_mended(text: str, value: Any) -> None:
    for size in (1, 3, 100):
        reader, read = mend(text, size)
        assert json.loads(read) == value
        assert reader.is_mended


def test_what_is_no_json_at_all_is_said_so() -> None:
    reader, read = mend("I would rather not.")
    assert (reader.is_broken, read) == (True, "")
