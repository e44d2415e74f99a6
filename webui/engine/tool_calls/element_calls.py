"""Calls as elements, which MiniMax M3 writes: each parameter is an element of its name, lists and objects are nested.

A mark stands before every tag that is one, so that values may hold any text. Values are whole before they are read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from webui.engine.tool_calls.pieces import Toolbox

MARK = "]<]minimax[>["
MAX_DEPTH = 50
_NAME = re.compile(r'\s*name="(?P<name>[^">\n]{1,128})"\s*>')
_TAG = re.compile(r"<(?P<is_end>/?)(?P<name>[^<>\n]{1,128})>(?P<text>.*)", re.DOTALL)


class _Element:
    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[_Element] = []

    def value(self, schema: dict[str, Any]) -> Any:
        """What it says; the schema tells texts from numbers, where it is known."""
        if self.children and all(child.name == "item" for child in self.children):
            return [child.value(_below(schema, "items")) for child in self.children]
        if self.children:
            described = _below(schema, "properties")
            return {child.name: child.value(_below(described, child.name)) for child in self.children}
        return self.text if schema.get("type") == "string" else _read(self.text)


def read_elements(text: str, tools: Toolbox) -> list[tuple[str, str]] | None:
    """The one call of `name="…">` and its elements; None for what is none."""
    match = _NAME.match(text)
    if match is None:
        return None
    root = _build(text[match.end() :].split(MARK)[1:])
    if root is None:
        return None
    name = tools.find(match["name"]) or match["name"]
    arguments = {child.name: child.value(tools.parameter(name, child.name)) for child in root.children}
    return [(name, json.dumps(arguments, ensure_ascii=False))]


def _build(parts: list[str]) -> _Element | None:
    """`parts` begin with a tag each. None where they are not nested as elements are."""
    open_elements = [_Element("")]
    for part in parts:
        tag = _TAG.match(part)
        if tag is None or len(open_elements) > MAX_DEPTH:
            return None
        if not tag["is_end"]:
            element = _Element(tag["name"])
            element.text = tag["text"]
            open_elements[-1].children.append(element)
            open_elements.append(element)
        elif len(open_elements) == 1 or open_elements.pop().name != tag["name"]:
            return None
    return open_elements[0]


def _below(schema: dict[str, Any], key: str) -> dict[str, Any]:
    below = schema.get(key)
    return below if isinstance(below, dict) else {}


def _read(text: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value
