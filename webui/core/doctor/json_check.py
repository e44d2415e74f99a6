"""Can it write JSON? Asked in words alone, and held to a schema by a grammar; each time the content must be right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webui.core.doctor.subject import OutOfTime, Subject, person
from webui.core.doctor.words import count_words
from webui.errors import InvalidRequest
from webui.types import Check, Figure, Grammar, SamplingParams

TITLE = "JSON"
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class JsonTask:
    """What is asked, the form that the answer must have, and whether its content is right."""

    question: str
    schema: dict[str, Any]
    has_form: Callable[[Any], bool]
    is_right: Callable[[Any], bool]


def _is_person(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and type(value.get("age")) is int
        and isinstance(value.get("city"), str)
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and set(map(type, value.get("colors") or [0])) == {str}


TASKS = (
    JsonTask(
        "Anna Berg is 34 years old and lives in Oslo. Write this as a JSON object with the keys name, age and city. "
        "Answer with the JSON only.",
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
            "required": ["name", "age", "city"],
            "additionalProperties": False,
        },
        _is_person,
        lambda value: "Anna" in value["name"] and value["age"] == 34 and "Oslo" in value["city"],
    ),
    JsonTask(
        "The flag is red, white and blue. Write its colors as a JSON object with the key colors, a list of texts. "
        "Answer with the JSON only.",
        {
            "type": "object",
            "properties": {"colors": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5}},
            "required": ["colors"],
            "additionalProperties": False,
        },
        _is_texts,
        lambda value: {color.lower() for color in value["colors"]} == {"red", "white", "blue"},
    ),
)


def find_json(text: str) -> Any:
    """The first JSON value in an answer, fenced or not; None where there is none."""
    fenced = _FENCED.search(text)
    source = (fenced[1] if fenced else text).strip()
    start = min((at for at in (source.find("{"), source.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(source[start:])[0]
    except (ValueError, RecursionError):
        return None


async def check_json(subject: Subject) -> Check:
    free, held, right, refused = 0, 0, 0, ""
    for task in TASKS:
        free += task.has_form(await _answer(subject, task, None))
        try:
            value = await _answer(subject, task, Grammar(kind="json_schema", source=json.dumps(task.schema)))
        except InvalidRequest as error:
            refused = error.message
            break
        held += task.has_form(value)
        right += task.has_form(value) and task.is_right(value)
    figures = (
        Figure(label="valid by itself", value=free, unit=f"of {len(TASKS)}"),
        Figure(label="valid with a schema", value=held, unit=f"of {len(TASKS)}"),
        Figure(label="right with a schema", value=right, unit=f"of {len(TASKS)}"),
    )
    if refused:
        return Check(name="json", title=TITLE, state="fail", words=f"It cannot be held to a schema: {refused}")
    is_able = held == free == len(TASKS)
    return Check(
        name="json", title=TITLE, state="ok" if is_able else "warn", words=_words(free, held, right), figures=figures
    )


async def _answer(subject: Subject, task: JsonTask, grammar: Grammar | None) -> Any:
    if subject.budget.left_for_checks <= 0:
        raise OutOfTime
    sampling = SamplingParams(temperature=0, max_tokens=subject.budget.limits.answer_tokens, grammar=grammar)
    answer = await subject.ask(person(task.question), sampling=sampling)
    return find_json(answer.text)


def _words(free: int, held: int, right: int) -> str:
    most = len(TASKS)
    if held < most:
        return (
            f"With a schema {held} of {count_words(most, 'answer')} came to an end in time: it is too slow, or goes on "
            "and on. Use a schema with bounds (maxItems, maxLength)."
        )
    content = "with the right content" if right == most else f"with the right content in {right} of {most}"
    if free == most:
        return f"It writes valid JSON when asked to, and always with a schema, {content}."
    return (
        f"Asked in words, {free} of {count_words(most, 'answer')} {'was' if free == 1 else 'were'} valid JSON. Give it "
        f"a schema: with one all were, {content}."
    )
