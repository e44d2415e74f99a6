"""What a reader of calls passes on, and what it knows of the tools. It knows no format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from webui.types import Tool


@dataclass(frozen=True, slots=True)
class Begun:
    """A call begins. `id` is the model's own, where its format has one."""

    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The next piece of its arguments' JSON text."""

    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """What looked like a call and is none, exactly as it was written."""

    text: str


Piece = Begun | Arguments | Lost


class Section(Protocol):
    """Reads one stretch of an answer that holds calls, from behind the mark that opened it."""

    @property
    def is_done(self) -> bool: ...

    @property
    def rest(self) -> str:
        """Once done: what follows the section."""

    @property
    def is_mended(self) -> bool: ...

    def feed(self, text: str) -> Iterator[Piece]: ...

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        """The answer has ended. `is_cut`: not by the model, so what is open stays open."""


class MarkedSection:
    """What sections have in common: the mark that opened them, what they hold, and how they end."""

    def __init__(self, tools: Toolbox, mark: str) -> None:
        self.is_done = False
        self.rest = ""
        self._is_mended = False
        self._tools = tools
        self._mark = mark
        self._held = ""

    @property
    def is_mended(self) -> bool:
        return self._is_mended

    def _end(self, rest: str) -> None:
        self.is_done, self.rest = True, rest

    def _give_up(self) -> Piece:
        """It was no call: the mark is text, and behind it what is held is read again."""
        self._end(self._held)
        return Lost(self._mark)


class Toolbox:
    """The tools of one request, by name."""

    def __init__(self, tools: tuple[Tool, ...]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def find(self, name: str) -> str | None:
        """The name as the tool has it; models add a namespace, or get upper and lower case wrong."""
        name = name.strip()
        for each in (name, name.rpartition(".")[2], name.partition(":")[0].rpartition(".")[2]):
            if each in self._tools:
                return each
        return next((known for known in self._tools if known.lower() == name.lower()), None)

    def is_named_in(self, text: str) -> bool:
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @property
    def only_name(self) -> str | None:
        """The tool's name, where there is just one."""
        return next(iter(self._tools)) if len(self._tools) == 1 else None

    def parameter(self, tool: str, name: str) -> dict[str, Any]:
        """The schema of one parameter; empty when it is not known."""
        schema = self._properties.get(tool, {}).get(name)
        return schema if isinstance(schema, dict) else {}

    def only_parameter(self, tool: str) -> str | None:
        names = list(self._properties.get(tool, {}))
        return names[0] if len(names) == 1 else None

    @cached_property
    def _properties(self) -> dict[str, dict[str, Any]]:
        found = {}
        for tool in self._tools.values():
            schema = _read(tool.parameters)
            properties = schema.get("properties") if isinstance(schema, dict) else None
            found[tool.name] = properties if isinstance(properties, dict) else {}
        return found


def _read(schema: str) -> Any:
    """None for what is no JSON: the types of parameters are then unknown, and no more."""
    try:
        return json.loads(schema)
    except (ValueError, RecursionError):
        return None
