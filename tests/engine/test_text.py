"""From bytes to what a reader sees: whole characters, stop strings cut, thinking apart; however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.engine.detokenizer import Detokenizer
from webui.engine.reasoning import ReasoningSplitter, ThinkMarks, find_open_marks, is_part_of_mark
from webui.engine.stop_strings import StopStrings
from webui.types import ReasoningDelta

THINK = ThinkMarks("<think>", "</think>")


def pieces_of(text: str, sizes: list[int]) -> list[str]:
    """`text` in pieces of the given sizes, the rest as one."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


# --- whole characters ------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(1, 5))
def test_text_comes_out_whole_whatever_the_tokens_cut(text: str, size: int) -> None:
    data = text.encode()
    detokenizer = Detokenizer()
    heard = [detokenizer.feed(data[start : start + size]) for start in range(0, len(data), size)]
    assert "".join(heard) == text
    assert not any("\ufffd" in piece for piece in heard if "\ufffd" not in text)


def test_half_a_character_at_the_end_is_not_said() -> None:
    detokenizer = Detokenizer()
    assert detokenizer.feed("a👍".encode()[:3]) == "a"


def test_bytes_that_can_never_be_text_are_marked_and_the_text_goes_on() -> None:
    assert Detokenizer().feed(b"a\xffb") == "a\ufffdb"


# --- stop strings ----------------------------------------------------------------------------------------------------


@given(st.text(alphabet="abc", max_size=30), st.lists(st.integers(0, 4), max_size=12))
def test_an_answer_ends_before_the_stop_string_wherever_it_is_cut(text: str, sizes: list[int]) -> None:
    stops = StopStrings(("bca", "cc"))
    said = ""
    for piece in pieces_of(text, sizes):
        said += stops.feed(piece)
        if stops.has_stopped:
            break
    said += stops.flush()
    ends = [text.find(stop) for stop in ("bca", "cc") if stop in text]
    if not ends:
        assert said == text
    else:
        assert stops.has_stopped
        assert said == text[: len(said)]
        assert "bca" not in said
        assert "cc" not in said


def test_what_could_be_a_stop_string_waits_until_it_is_clear() -> None:
    stops = StopStrings(("\nUser:",))
    assert stops.feed("Hello\nUs") == "Hello"
    assert stops.feed("ual") == "\nUsual"
    assert stops.feed(" thing\nUser") == " thing"
    assert stops.feed(": and more") == ""
    assert stops.has_stopped


# --- thinking --------------------------------------------------------------------------------------------------------


def split(text: str, sizes: list[int], opened: ThinkMarks | None = None) -> tuple[str, str]:
    splitter = ReasoningSplitter(opened)
    thought, said = "", ""
    deltas = [delta for piece in pieces_of(text, sizes) for delta in splitter.feed(piece)]
    for delta in [*deltas, *splitter.flush()]:
        assert delta.text, "a delta is never empty"
        if isinstance(delta, ReasoningDelta):
            thought += delta.text
        else:
            said += delta.text
    return thought, said


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("Hello.", "", "Hello."),
        ("<think>\nHm.\n</think>\n\nYes.", "Hm.\n", "Yes."),
        ("\n<think>Hm.</think>Yes.", "Hm.", "Yes."),
        ("<think>\n\n</think>\n\nYes.", "", "Yes."),
        ("<think>never ends", "never ends", ""),
        ("[THINK]a < b[/THINK]Yes.", "a < b", "Yes."),
        ("Write <think> and </think> around it.", "", "Write <think> and </think> around it."),
        ("<thinner>", "", "<thinner>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>Yes.", "Hm.", "Yes."),
        ("<|channel|>final<|message|>Yes.", "", "Yes."),
        ("<thinking>Hm.</thinking>Yes.", "Hm.", "Yes."),
        ("<thought>Hm.</thought>Yes.", "Hm.", "Yes."),
        ("<reasoning>Hm.</reasoning>Yes.", "Hm.", "Yes."),
        ("<seed:think>Hm.</seed:think>Yes.", "Hm.", "Yes."),
        ("<|START_THINKING|>Hm.<|END_THINKING|>Yes.", "Hm.", "Yes."),
        ("<|channel>thought\nHm.<channel|>Yes.", "Hm.", "Yes."),
        ("<|inner_prefix|>Hm.<|inner_suffix|>Yes.", "Hm.", "Yes."),
        ("Here is my thought process: Hm. Here is my response: Yes.", "Hm. ", "Yes."),
        ("<think>Hm.</think>\n<response>Yes.</response>", "Hm.", "Yes."),
        ("<think>Hm.</think><res>Yes.</response>", "Hm.", "<res>Yes.</response>"),
        ("<think>Hm.</think>\n<answer>\nYes.</answer>", "Hm.", "Yes."),
        ("<mm:think>Hm.</mm:think>Yes.", "Hm.", "Yes."),
        ("</mm:think>Yes.", "", "Yes."),
        ("\n</think>\n\nYes. </think>", "", "Yes. </think>"),
        ("</thi", "", "</thi"),
        ("<think:opensource>Hm.</think:opensource>Yes.", "Hm.", "Yes."),
        ("<|think|>Hm.<|end|><|begin|>assistantYes.", "Hm.", "Yes."),
        ("Here are my reasoning steps:\nHm.[BEGIN FINAL RESPONSE]\nYes.[END FINAL RESPONSE]\n", "Hm.", "Yes."),
        ("  indented", "", "  indented"),
        ("<thi", "", "<thi"),
        ("<think>a</thi", "a</thi", ""),
    ],
)
@given(sizes=st.lists(st.integers(0, 6), max_size=20))
def test_what_a_model_thinks_is_told_from_what_it_says(text: str, thought: str, said: str, sizes: list[int]) -> None:
    assert split(text, sizes) == (thought, said)


def test_thinking_that_the_prompt_has_opened_needs_no_opening() -> None:
    opened = find_open_marks("<|im_start|>assistant\n<think>\n")
    assert opened == THINK
    assert split("Hm.</think>Yes.", [2, 3], opened) == ("Hm.", "Yes.")
    assert find_open_marks("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None


def test_control_tokens_that_make_up_the_marks_are_kept_in_the_stream() -> None:
    assert is_part_of_mark("<|channel|>")
    assert not is_part_of_mark("<|im_end|>")
