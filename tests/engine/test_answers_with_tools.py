"""An answer from its tokens on: marks that are control tokens are read and never seen, and the end says what it was."""

from __future__ import annotations

import re

import pytest

from tests.engine.calling import TOOLS
from webui.engine.answer import Answer
from webui.engine.intake import Reading
from webui.engine.runner import GapTokens, Sampled
from webui.engine.tool_calls import families
from webui.engine.tool_calls.formats import ToolFormat
from webui.types import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolChoice,
)

END = 0
CONTROLS = {
    1: "[TOOL_CALLS]",
    2: "[ARGS]",
    3: "<|channel|>",
    4: "<|message|>",
    5: "<|end|>",
    6: "<|start|>",
    7: "<|pad|>",
}


class Vocabulary:
    """Characters are tokens; a few control tokens are silent."""

    chat_template = None
    bos_text = eos_text = ""
    control_texts = frozenset(CONTROLS.values())
    gap_tokens = GapTokens()

    def tokenize(self, pieces: object) -> list[int]:
        return []

    def tokenize_behind(self, text: str) -> list[int]:
        controls = {text: token for token, text in CONTROLS.items()}
        parts = re.split(f"({'|'.join(map(re.escape, controls))})", text)
        return [token for part in parts for token in ([controls[part]] if part in controls else map(ord, part))]

    def tokenize_text(self, text: str) -> list[int]:
        return [ord(each) for each in text]

    def token_bytes(self, token: int) -> bytes:
        return b"" if token in CONTROLS else chr(token).encode()

    def control_text(self, token: int) -> str:
        return CONTROLS.get(token, "")

    def is_end(self, token: int) -> bool:
        return token == END

    num_tokens = 0x110000

    def shown_bytes(self, token: int) -> bytes:
        return CONTROLS.get(token, chr(token)).encode()


class Sampler:
    def begin_answer(self) -> None: ...

    def close(self) -> None: ...


def answer(
    form: ToolFormat,
    *said: int | str,
    tools: tuple[Tool, ...] = TOOLS,
    stop: tuple[str, ...] = (),
    choice: ToolChoice | None = None,
    reason: FinishReason = "stop",
) -> list[GenerationEvent]:
    """Every event of the answer `said`: texts, and control tokens by their number."""
    request = GenerationRequest(
        messages=(Message(role="user", content="Hi"),),
        sampling=SamplingParams(stop=stop),
        tools=tools,
        tool_choice=choice or ToolChoice(),
    )
    written = Answer(1, request, Reading([9], None, form=form), Sampler(), arrived_at=0.0)
    tokens = [token for part in said for token in ([part] if isinstance(part, int) else map(ord, part))]
    events: list[GenerationEvent] = []
    for token in tokens:
        new, end = written.take(Sampled(token), Vocabulary(), 1.0)
        events += new
        if end is not None:
            reason = end
            break
    return [*events, *written.finish(reason, 2.0)]


def said(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(events: list[GenerationEvent]) -> list[str]:
    """Each call as name and arguments in one text."""
    found: list[str] = []
    for event in events:
        if isinstance(event, ToolCallDelta):
            found += [event.name] if event.name else []
            found[-1] += event.arguments
    return found


def end(events: list[GenerationEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def test_marks_that_are_control_tokens_are_read_and_never_seen() -> None:
    events = answer(families.MISTRAL_ARGS, "I look.", 7, 1, "get_weather", 2, '{"city": "Bern"}', END)
    assert (said(events), calls(events)) == ("I look.", ['get_weather{"city":"Bern"}'])
    assert end(events).reason == "tool_calls"


def test_without_tools_the_same_tokens_are_silent() -> None:
    events = answer(families.MISTRAL_ARGS, "So", 1, "be it", END, tools=())
    assert (said(events), end(events).reason) == ("Sobe it", "stop")
    unused = answer(families.MISTRAL_ARGS, "So", 1, "be it", END, choice=ToolChoice(mode="none"))
    assert (said(unused), end(unused).reason) == ("Sobe it", "stop")


def test_channels_are_read_with_tools_and_without() -> None:
    for tools in (TOOLS, ()):
        events = answer(
            families.HARMONY, 3, "analysis", 4, "Hm.", 5, 6, "assistant", 3, "final", 4, "Yes.", END, tools=tools
        )
        assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Hm."
        assert said(events) == "Yes."


def test_a_stop_string_ends_what_is_said_and_never_cuts_a_call() -> None:
    call = '<tool_call>{"name": "get_weather", "arguments": {"city": "STOP"}}</tool_call>'
    assert calls(answer(families.HERMES, call, END, stop=("STOP",))) == ['get_weather{"city":"STOP"}']
    events = answer(families.HERMES, "I STOP now.", call, END, stop=("STOP",))
    assert (said(events), calls(events), end(events).reason) == ("I ", [], "stop")


def test_the_answer_ends_by_itself_where_one_call_is_enough() -> None:
    call = '<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'
    events = answer(families.HERMES, call, call, "and more, and more", choice=ToolChoice(is_parallel=False))
    assert (calls(events), said(events), end(events).reason) == (["get_weather{}"], "", "tool_calls")


@pytest.mark.parametrize("reason", ["length", "cancelled"])
def test_a_call_that_is_cut_keeps_its_reason(reason: FinishReason) -> None:
    events = answer(families.HERMES, '<tool_call>{"name": "get_weather", "arguments": {"city": "Be', reason=reason)
    assert (calls(events), end(events).reason) == (['get_weather{"city":"Be'], reason)


def test_what_was_mended_is_told_at_the_end() -> None:
    events = answer(families.HERMES, "<tool_call>{'name': 'get_weather', 'arguments': {}}</tool_call>", END)
    assert "mended" in end(events).notes[0]
