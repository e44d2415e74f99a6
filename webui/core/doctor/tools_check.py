"""Does it call tools? Offered in the system prompt as most models learn them, then held to the form of a call.

The tools are described in words, so that models whose templates know none are tried in the same way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from webui.core.doctor.json_check import find_json
from webui.core.doctor.subject import Subject, person
from webui.core.doctor.words import count_words
from webui.types import Check, Figure, Grammar, Message, SamplingParams

TITLE = "Tools"
_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "name": "get_weather",
        "description": "The weather in a city right now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {
        "name": "set_timer",
        "description": "Ring after so many minutes",
        "parameters": {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
    },
)
_SYSTEM = Message(
    role="system",
    content="You can call these tools:\n"
    + "\n".join(json.dumps(tool) for tool in _TOOLS)
    + "\nTo call one, answer only with a JSON object of this form: "
    '{"name": "the tool\'s name", "arguments": {"its parameter": "value"}}. '
    "When no tool is needed, answer in words.",
)


@dataclass(frozen=True, slots=True)
class _Task:
    question: str
    name: str
    argument: str
    value: str | int


_TASKS = (
    _Task("What is the weather like in Lisbon?", "get_weather", "city", "Lisbon"),
    _Task("Set a timer for 7 minutes.", "set_timer", "minutes", 7),
)
_WORDS_TASK = "What is two plus two?"


async def check_tools(subject: Subject) -> Check:
    free = held = 0
    for task in _TASKS:
        free += _is_right(await _answer(subject, task.question, None), task)
        held += _is_right(await _answer(subject, task.question, _call_grammar()), task)
    keeps_to_words = _call_of(await _answer(subject, _WORDS_TASK, None)) is None
    is_able = free == len(_TASKS) and keeps_to_words
    return Check(
        name="tools",
        title=TITLE,
        state="ok" if is_able else "warn",
        words=_words(free, held, keeps_to_words=keeps_to_words, knows_tools=subject.knows_tools),
        figures=(
            Figure(label="right calls by itself", value=free, unit=f"of {len(_TASKS)}"),
            Figure(label="right calls with a schema", value=held, unit=f"of {len(_TASKS)}"),
            Figure(label="answers in words where no tool is needed", value=int(keeps_to_words), unit="of 1"),
        ),
    )


async def _answer(subject: Subject, question: str, grammar: Grammar | None) -> str:
    sampling = SamplingParams(temperature=0, max_tokens=subject.budget.limits.answer_tokens, grammar=grammar)
    return (await subject.ask(_SYSTEM, person(question), sampling=sampling)).text


def _call_of(text: str) -> dict[str, Any] | None:
    """The call in an answer, in whatever tags it stands; None where there is none."""
    value = find_json(text)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value
    return None


def _is_right(text: str, task: _Task) -> bool:
    call = _call_of(text)
    if call is None or call["name"] != task.name:
        return False
    arguments = call.get("arguments", call.get("parameters"))
    return isinstance(arguments, dict) and str(arguments.get(task.argument)).lower() == str(task.value).lower()


def _call_grammar() -> Grammar:
    """One of the calls, each with its own arguments."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool["name"]}, "arguments": tool["parameters"]},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in _TOOLS
    ]
    return Grammar(kind="json_schema", source=json.dumps({"anyOf": calls}))


def _words(free: int, held: int, *, keeps_to_words: bool, knows_tools: bool) -> str:
    template = "" if knows_tools else " Its template knows no tools."
    if free == len(_TASKS) and keeps_to_words:
        return f"It calls the right tool by itself, and none where none is needed.{template}"
    if free == len(_TASKS):
        return f"It calls the right tool by itself, but also one where none is needed.{template}"
    by_itself = f"By itself it made {count_words(free, 'right call')} of {len(_TASKS)}"
    if held > free:
        return f"{by_itself}, held to the form of a call {held}.{template}"
    return f"{by_itself}, and no more when held to the form of a call: do not give it tools.{template}"
