"""Calls in notations that are read once they are whole: Python's, as LFM2, Llama and Gemma 3 write it, and Gemma 4's.

It reads text with Python's own parser and never runs any of it.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from webui.engine.tool_calls.lenient_json import LenientJson
from webui.engine.tool_calls.pieces import Arguments, Begun, Lost, MarkedSection, Piece, Toolbox

MAX_LENGTH = 100_000  #: characters of a section
_GEMMA_CALL = re.compile(r"\s*call:\s*([\w.:-]+)\s*(\{.*)", re.DOTALL)
_GEMMA_QUOTE = '<|"|>'
_WORDS = {"true": True, "false": False, "null": None}

Call = tuple[str, str]  #: name, and arguments as JSON
Read = Callable[[str, Toolbox], list[Call] | None]


class WholeSection(MarkedSection):
    """Everything up to a closing mark, read by `read`, which gives None for what holds no calls."""

    def __init__(self, tools: Toolbox, mark: str, *, close: str, read: Read) -> None:
        super().__init__(tools, mark)
        self._close = close
        self._read = read

    def feed(self, text: str) -> Iterator[Piece]:
        self._held += text
        end = self._held.find(self._close)
        if end >= 0:
            yield from self._read_all(self._held[:end], self._held[end + len(self._close) :], self._close)
        elif len(self._held) > MAX_LENGTH:
            yield self._give_up()

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        if self.is_done:
            return
        if is_cut:
            yield self._give_up()
        else:
            yield from self._read_all(self._held, "", "")

    def _read_all(self, body: str, rest: str, close: str) -> Iterator[Piece]:
        self._end(rest)
        calls = self._read(body, self._tools)
        if not calls:
            yield Lost(self._mark + body + close)
        for name, arguments in calls or ():
            yield Begun(self._tools.find(name) or name)
            yield Arguments(arguments)


def read_python(text: str, tools: Toolbox) -> list[Call] | None:
    """`[name(a=1), name(b="x")]`, `name(a=1)`, `print(name(a=1))`: calls of known tools with literal values only."""
    source = text.strip()
    try:
        with warnings.catch_warnings(action="ignore"):  # odd escapes in strings
            tree = ast.parse(source, mode="exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls: list[Call] = []
    for statement in tree.body:
        if not isinstance(statement, ast.Expr):
            return None
        listed = statement.value.elts if isinstance(statement.value, ast.List | ast.Tuple) else [statement.value]
        for each in listed:
            call = _python_call(each, tools)
            if call is None:
                return None
            calls.append(call)
    return calls


def _python_call(node: ast.expr, tools: Toolbox) -> Call | None:
    if not isinstance(node, ast.Call):
        return None
    name = _name(node.func)
    if name == "print" and len(node.args) == 1 and tools.find("print") is None:
        return _python_call(node.args[0], tools)
    known = tools.find(name)
    if known is None:
        return None
    try:
        return known, json.dumps(_arguments(node, tools.only_parameter(known)), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return None


def _name(node: ast.expr) -> str:
    """`f` or `a.b.f`; empty for everything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _arguments(node: ast.Call, only: str | None) -> dict[str, Any]:
    """`only`: the one parameter, which needs no name. Raises ValueError for arguments that nothing tells apart."""
    arguments: dict[str, Any] = {}
    if node.args:
        if only is None or len(node.args) > 1:
            raise ValueError("arguments without a name")
        arguments[only] = _literal(node.args[0])
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("arguments without a name")
        arguments[keyword.arg] = _literal(keyword.value)
    return arguments


def _literal(node: ast.expr) -> Any:
    """A value; JSON's words are taken, too. Raises ValueError for what is none."""
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {str(_literal(key)): _literal(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    return ast.literal_eval(node)


def read_python_or_json(text: str, tools: Toolbox) -> list[Call] | None:
    """A fence of code of Gemma 3: a call in Python, or an object."""
    return read_python(text, tools) or _read_json(text, tools)


def _read_json(text: str, tools: Toolbox) -> list[Call] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    calls: list[Call] = []
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str) or tools.find(each["name"]) is None:
            return None
        arguments = each.get("arguments", each.get("parameters", {}))
        if not isinstance(arguments, dict):
            return None
        calls.append((each["name"], json.dumps(arguments, ensure_ascii=False)))
    return calls


def read_gemma(text: str, tools: Toolbox) -> list[Call] | None:
    """`call:name{key:<|"|>text<|"|>,other:1}`: JSON with keys without quotes and strings between marks of their own."""
    match = _GEMMA_CALL.match(text)
    if match is None:
        return None
    pieces = match[2].split(_GEMMA_QUOTE)
    inner = "".join(json.dumps(piece, ensure_ascii=False) if at % 2 else piece for at, piece in enumerate(pieces))
    reader = LenientJson()
    arguments = "".join(part.text for part in [*reader.feed(inner), *reader.finish()])
    return None if reader.is_broken else [(match[1], arguments)]
