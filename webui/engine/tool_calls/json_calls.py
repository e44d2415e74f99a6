"""Calls in JSON: `{"name": …, "arguments": {…}}`, alone, in lists or in wrappings, however a family names the keys.

Arguments are passed on while they are written, as soon as the name is known. It reads the parts that `lenient_json`
makes, and does not know what stands around the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from webui.engine.tool_calls.lenient_json import LenientJson, Part
from webui.engine.tool_calls.pieces import Arguments, Begun, Piece, Toolbox

_NAMES = frozenset({"name", "tool_name", "function_name", "function", "tool"})
_ARGUMENTS = frozenset({"arguments", "parameters", "args", "input", "tool_input"})
_IDS = frozenset({"id", "tool_call_id", "call_id"})
_WRAPPINGS = frozenset({"function", "tool_call", "tool_calls", "function_call", "functions", "calls", "tools"})
_KNOWN = _NAMES | _ARGUMENTS | _IDS | _WRAPPINGS | {"type"}

Role = Literal["list", "call", "other"]


class _Frame:
    """An object or a list on the way down to the arguments."""

    def __init__(self, role: Role, parent: _Frame | None = None) -> None:
        self.role = role
        self.parent = parent
        self.key = ""
        self.name = self.id = ""
        self.has_begun = False
        self.is_named_by_key = False  #: a key is the name of a tool, and its value the arguments
        self.has_arguments = False
        self.early: list[str] = []  #: arguments that came before the name


class JsonCalls:
    """The calls of one JSON value."""

    def __init__(self, tools: Toolbox, *, is_strict: bool) -> None:
        """`is_strict`: only what names a known tool is a call; nothing else says that this is meant as one."""
        self._tools = tools
        self._is_strict = is_strict
        self._frame: _Frame | None = None
        self._written: list[str] = []  #: the key or value that is being read
        self._value: Literal["", "arguments", "text"] = ""
        self._depth = 0
        self._is_list_value = False
        self.has_begun = False
        self.is_none = False  #: it is certain that this is no call
        self.is_mended = False

    def read(self, parts: Iterator[Part]) -> Iterator[Piece]:
        """Takes no more of `parts` than it needs to see that this is none."""
        for part in parts:
            if self._value:
                yield from self._go_on(part)
            else:
                yield from self._take(part)
            if self.is_none:
                return

    # --- the way to the arguments ----------------------------------------------------------------------------------

    def _take(self, part: Part) -> Iterator[Piece]:
        match part.kind:
            case "key":
                self._written.append(part.text)
            case "colon":
                key, self._written = str(json.loads("".join(self._written))), []
                if self._frame is not None:
                    self._frame.key = key
                    self._look_at_key(self._frame, key)
            case "open" if self._takes_arguments():
                yield from self._begin_arguments(part)
            case "open":
                self._frame = _Frame(self._role_below(part), self._frame)
            case "close":
                yield from self._leave()
            case "text" | "word":
                yield from self._begin_value(part)

    def _look_at_key(self, frame: _Frame, key: str) -> None:
        if frame.role != "call" or frame.name or key in _KNOWN:
            return
        if key in self._tools:
            frame.is_named_by_key = True
        elif self._is_strict and not self.has_begun:
            self.is_none = True

    def _takes_arguments(self) -> bool:
        frame = self._frame
        if frame is None or frame.role != "call" or frame.has_arguments:
            return False
        return frame.key in _ARGUMENTS or (frame.is_named_by_key and frame.key in self._tools)

    def _role_below(self, part: Part) -> Role:
        frame = self._frame
        is_inside = frame is None or frame.role == "list" or (frame.role == "call" and frame.key in _WRAPPINGS)
        if not is_inside:
            return "other"
        return "call" if part.text == "{" else "list"

    def _leave(self) -> Iterator[Piece]:
        frame, self._frame = self._frame, self._frame.parent if self._frame is not None else None
        if frame is None or frame.role != "call":
            return
        if not frame.name and frame.early and not self._is_strict and (name := self._tools.only_name):
            frame.name, self.is_mended = name, True
        if not frame.name:
            return
        yield from self._begin(frame)
        if frame.has_begun and not frame.has_arguments:
            yield Arguments("{}")

    def _begin(self, frame: _Frame) -> Iterator[Piece]:
        """Tell of the call, once its name is known."""
        if frame.has_begun:
            return
        name = self._tools.find(frame.name)
        if name is None and self._is_strict:
            self.is_none = not self.has_begun
            return
        frame.has_begun = self.has_begun = True
        yield Begun(name or frame.name, frame.id)
        if frame.early:
            yield Arguments("".join(frame.early))

    # --- values ----------------------------------------------------------------------------------------------------

    def _begin_value(self, part: Part) -> Iterator[Piece]:
        if self._takes_arguments():
            yield from self._begin_arguments(part)
            return
        self._written = [part.text]
        if part.kind == "text":
            self._value = "text"
        else:
            yield from self._end_text()

    def _begin_arguments(self, part: Part) -> Iterator[Piece]:
        frame = self._call()
        frame.has_arguments = True
        if frame.is_named_by_key and frame.key in self._tools:  # Apertus: {"name": {arguments}}
            frame.name = frame.key
            yield from self._begin(frame)
        self._value, self._depth, self._written = "arguments", part.depth, []
        if part.kind == "open" and part.text == "{":
            yield from self._say(part.text)
        else:
            self._is_list_value = part.kind == "open"
            self._written = [part.text]
            if part.kind == "word":
                yield from self._end_arguments()

    def _go_on(self, part: Part) -> Iterator[Piece]:
        if self._value == "text":
            self._written.append(part.text)
            if part.text == '"':
                self._value = ""
                yield from self._end_text()
            return
        is_over = part.depth == self._depth
        if not self._written:
            yield from self._say(part.text)
            if is_over:
                self._value = ""
            return
        self._written.append(part.text)
        if is_over and (part.kind == "close" if self._is_list_value else part.text == '"'):
            yield from self._end_arguments()

    def _end_text(self) -> Iterator[Piece]:
        """A string or word is whole: the name, perhaps."""
        value, self._written = json.loads("".join(self._written)), []
        frame = self._frame
        if frame is None or frame.role != "call" or not isinstance(value, str) or not value.strip():
            return
        if frame.key in _IDS:
            frame.id = value
        elif frame.key in _NAMES and not frame.name and not (frame.key == "tool" and "." in value):
            frame.name = value
            yield from self._begin(frame)

    def _end_arguments(self) -> Iterator[Piece]:
        """Arguments that are no object: its JSON text, nothing, or the value of the only parameter."""
        text, self._written, self._value = "".join(self._written), [], ""
        self._is_list_value = False
        value = json.loads(text)
        if isinstance(value, str):
            inner = LenientJson()
            parts = "".join(part.text for part in [*inner.feed(value), *inner.finish()])
            if not inner.is_broken and parts.startswith("{"):
                self.is_mended = self.is_mended or inner.is_mended
                yield from self._say(parts)
                return
        if value is None or value in ("", []):
            yield from self._say("{}")
            return
        self.is_mended = True
        name = self._tools.only_parameter(self._call().name) or "input"
        yield from self._say(f"{{{json.dumps(name, ensure_ascii=False)}:{text}}}")

    def _say(self, text: str) -> Iterator[Piece]:
        frame = self._call()
        if frame.has_begun:
            yield Arguments(text)
        else:
            frame.early.append(text)

    def _call(self) -> _Frame:
        if self._frame is None:
            raise RuntimeError("arguments outside of a call")
        return self._frame
