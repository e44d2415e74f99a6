"""Tools to call in tests, and an answer read in pieces of any size."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from webui.engine.answer_reader import AnswerReader
from webui.engine.reasoning import ThinkMarks
from webui.engine.tool_calls.formats import ToolFormat
from webui.types import ReasoningDelta, TextDelta, Tool, ToolCallDelta, ToolChoice

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
TRAIN = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "stops": {"type": "array", "items": {"type": "string"}}},
    "required": ["to", "stops"],
    "additionalProperties": False,
}
TOOLS = (
    Tool(name="get_weather", description="The weather of a place.", parameters=json.dumps(WEATHER)),
    Tool(name="find_train", description="A train.", parameters=json.dumps(TRAIN)),
)
SCHEMAS: dict[str, Any] = {"get_weather": WEATHER, "find_train": TRAIN}
Calls = list[tuple[str, Any]]


@dataclass
class Heard:
    """What a client would have put together from the deltas."""

    said: str = ""
    thought: str = ""
    calls: Calls = field(default_factory=list)
    notes: tuple[str, ...] = ()


def read(
    form: ToolFormat,
    text: str,
    size: int = 1,
    *,
    opened: ThinkMarks | None = None,
    choice: ToolChoice | None = None,
    is_cut: bool = False,
) -> Heard:
    """The answer `text`, fed in pieces of `size` characters. Arguments must be whole JSON unless it is cut."""
    reader = AnswerReader(opened, form, TOOLS, choice)
    heard, written = Heard(), list[list[str]]()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas = [delta for piece in pieces for delta in reader.feed(piece)]
    for delta in [*deltas, *reader.finish(is_cut=is_cut)]:
        match delta:
            case TextDelta():
                heard.said += delta.text
            case ReasoningDelta():
                heard.thought += delta.text
            case ToolCallDelta():
                if delta.name:
                    assert delta.index == len(written)
                    assert delta.id
                    written.append([delta.name])
                assert delta.index == len(written) - 1, "the pieces of a call come in a row"
                written[-1].append(delta.arguments)
    for name, *arguments in written:
        whole = "".join(arguments)
        heard.calls.append((name, whole if is_cut else json.loads(whole)))
    heard.notes = reader.notes
    return heard
