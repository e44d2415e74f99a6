"""The grammar of an answer that must be a call, or may be one beside an answer in JSON.

It spells the calls as the model's own family does, so that they read like any other; the arguments follow the tool's
schema. `describe` puts what is wanted into a `Grammar`, `to_lark` makes of that what the compiler reads. Neither
compiles anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from webui.engine.json_schema import read_schema
from webui.engine.tool_calls.formats import Spelling, ToolFormat
from webui.errors import InvalidRequest
from webui.types import GenerationRequest, Grammar, Tool

_BELOW = frozenset({"items", "additionalProperties"})
_NAMED_BELOW = frozenset({"properties", "$defs", "definitions"})
_COMBINED = frozenset({"allOf", "anyOf", "oneOf", "$ref", "patternProperties", "if", "unevaluatedProperties"})
MAX_CALLS = 16  #: of one answer; a small model would go on for ever


class Wanted(msgspec.Struct, frozen=True):
    """What the grammar allows: calls of these tools, and (where given) an answer that keeps to a schema."""

    tools: tuple[Tool, ...]
    spelling: tuple[str, str, str, str, str, str]
    is_parallel: bool
    answer: str | None = None


def describe(request: GenerationRequest, form: ToolFormat) -> Grammar | None:
    """The grammar of the request's answer: its own where tools change nothing. Raises InvalidRequest."""
    own, choice = request.sampling.grammar, request.tool_choice
    if not request.tools or choice.mode == "none":
        return own
    if not choice.is_forced and own is None:
        return None
    tools = request.tools
    if choice.name is not None:
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            raise InvalidRequest(f"tool_choice names “{choice.name}”, and there is no such tool.")
    answer = None if choice.is_forced else _answer_schema(own)
    wanted = Wanted(tools=tools, spelling=_spelled(form.spelling), is_parallel=choice.is_parallel, answer=answer)
    return Grammar(kind="calls", source=msgspec.json.encode(wanted).decode())


def to_lark(source: str, controls: Mapping[str, int], json_options: Mapping[str, Any]) -> str:
    """`controls`: control tokens by text: marks that are such tokens can only be written by them. Raises
    InvalidRequest for schemas that cannot be honoured."""
    wanted = msgspec.json.decode(source, type=Wanted)
    before, between, after, first, separator, last = wanted.spelling
    rules: list[str] = []
    calls = []
    for number, tool in enumerate(wanted.tools):
        head = _literal(f"{before}{tool.name}{between}", controls)
        rules.append(f"call_{number}: {head} arguments_{number} {_literal(after, controls)}")
        rules.append(f"arguments_{number}: %json {_schema(_arguments_schema(tool), json_options)}")
        calls.append(f"call_{number}")
    more = f" ({_literal(separator, controls)} call){{0,{MAX_CALLS - 1}}}" if wanted.is_parallel else ""
    rules.append(f"call: {' | '.join(calls)}")
    rules.append(f"calls: {_literal(first, controls)} call{more} {_literal(last, controls)}")
    if wanted.answer is None:
        return "\n".join(["start: calls", *rules])
    answer = f"answer: %json {_schema(read_schema(wanted.answer), json_options)}"
    return "\n".join(["start: calls | answer", *rules, answer])


def _spelled(spelling: Spelling) -> tuple[str, str, str, str, str, str]:
    return (
        spelling.before, spelling.between, spelling.after, spelling.first, spelling.separator, spelling.last,
    )  # fmt: skip


def _answer_schema(own: Grammar | None) -> str:
    if own is not None and own.kind == "json_schema":
        return own.source
    if own is not None and own.kind == "json_object":
        return '{"type": "object"}'
    raise InvalidRequest("A grammar of one's own and tools do not go together. Leave one of them out.")


def _arguments_schema(tool: Tool) -> dict[str, Any]:
    """The tool's schema, an object's in any case."""
    try:
        schema = read_schema(tool.parameters)
    except InvalidRequest as error:
        raise InvalidRequest(f"The parameters of the tool “{tool.name}” cannot be honoured: {error.message}") from error
    closed: dict[str, Any] = _closed(schema)
    return closed if "$ref" in closed else {"type": "object", **closed}


def _closed(schema: Any) -> Any:
    """Objects have the keys that they are described with: a small model would invent others for ever. Where schemas are
    combined, what one of them leaves open another may describe."""
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for keyword in _BELOW & closed.keys():
        closed[keyword] = _closed(closed[keyword])
    for keyword in _NAMED_BELOW & closed.keys():
        if isinstance(closed[keyword], dict):
            closed[keyword] = {name: _closed(below) for name, below in closed[keyword].items()}
    if _describes_all(closed):
        closed.setdefault("additionalProperties", False)
    return closed


def _describes_all(schema: dict[str, Any]) -> bool:
    described, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(described, dict) or not isinstance(required, list) or _COMBINED & schema.keys():
        return False
    return all(isinstance(name, str) and name in described for name in required)


def _schema(schema: dict[str, Any], options: Mapping[str, Any]) -> str:
    try:
        return json.dumps({**schema, "x-guidance": dict(options)}, allow_nan=False)
    except ValueError as error:
        raise InvalidRequest("The JSON schema of a tool has a number that JSON does not know.") from error


def _literal(text: str, controls: Mapping[str, int]) -> str:
    """This text only, in the compiler's notation; the control tokens in it as such."""
    if not text:
        return '""'
    known = sorted((control for control in controls if control in text), key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, known))})", text) if known else [text]
    return " ".join(f"<[{controls[piece]}]>" if piece in controls else _exact(piece) for piece in pieces if piece)


def _exact(text: str) -> str:
    return "/" + "".join(rf"\x{{{ord(character):X}}}" for character in text) + "/"
