"""Sections of an answer that hold calls in JSON, with the name inside of it or before it.

Each begins behind an opening mark and ends behind its closing mark, if that comes. What turns out to be no call is
given back as it was written. They do not know which family writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from webui.engine.tool_calls.json_calls import JsonCalls
from webui.engine.tool_calls.lenient_json import LenientJson, Part
from webui.engine.tool_calls.pieces import Arguments, Begun, Lost, MarkedSection, Piece, Section, Toolbox

MAX_HEADER = 300  #: characters between a mark and the arguments, a name above all
_FENCE = re.compile(r"```[a-z_]*\s*")


class Dropped:
    """A mark that says nothing by itself."""

    is_mended = False

    def __init__(self, following: str = "", *, give_back: str = "") -> None:
        """`following`: what belongs to the mark. `give_back`: the mark itself, which turned out to be none."""
        self.is_done = not following and not give_back
        self.rest = ""
        self._following = following
        self._lost = give_back

    def feed(self, text: str) -> Iterator[Piece]:
        self.is_done, self.rest = True, self.rest + text.removeprefix(self._following)
        if self._lost:
            yield Lost(self._lost)

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        yield from ()


class Chosen:
    """Waits until its beginning tells which section reads it."""

    def __init__(self, choose: Callable[[str, bool], Section | None]) -> None:
        """`choose` makes a section of the text so far, and whether that is all; None while it is not clear."""
        self._choose = choose
        self._held = ""
        self._section: Section | None = None

    @property
    def is_done(self) -> bool:
        return self._section is not None and self._section.is_done

    @property
    def is_mended(self) -> bool:
        return self._section is not None and self._section.is_mended

    @property
    def rest(self) -> str:
        return self._section.rest if self._section is not None else ""

    def feed(self, text: str) -> Iterator[Piece]:
        self._held += text
        if self._section is None and (section := self._choose(self._held, False)) is not None:
            self._section = section
        if self._section is not None:
            held, self._held = self._held, ""
            yield from self._section.feed(held)

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        if self._section is None:
            self._section = self._choose(self._held, True)
        if self._section is not None:
            yield from self._section.feed(self._held)
            yield from self._section.finish(is_cut=is_cut)


class JsonSection(MarkedSection):
    """An object or a list of them, perhaps in a fence of code."""

    def __init__(
        self, tools: Toolbox, mark: str = "", *, closes: tuple[str, ...] = (), is_strict: bool = False
    ) -> None:
        """`mark`: what opened the section, given back when it is no call. `is_strict`: see JsonCalls."""
        super().__init__(tools, mark)
        self._closes = closes
        self._raw: list[str] = [mark]
        self._is_strict = is_strict
        self._json = LenientJson(closes)
        self._calls = JsonCalls(tools, is_strict=is_strict)
        self._has_begun_json = False

    @property
    def is_mended(self) -> bool:
        is_mended = self._json.is_mended or self._calls.is_mended
        return self._is_mended or (self._calls.has_begun and is_mended)

    def feed(self, text: str) -> Iterator[Piece]:
        self._raw.append(text)
        if self._json.is_done:
            yield from self._close(self._json.held + text)
            return
        if not self._has_begun_json:
            self._held += text
            text = self._skip_fence()
            if not text:
                return
        yield from self._read(self._json.feed(text))

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        if self.is_done:
            return
        if not self._json.is_done and not is_cut:
            if self._held:
                self._has_begun_json = True
                yield from self._calls.read(self._json.feed(self._held))
            yield from self._calls.read(self._json.finish())
        if not self._calls.has_begun:
            yield Lost("".join(self._raw))
        self.is_done = True

    def _skip_fence(self) -> str:
        """The text from the JSON's first character on, or nothing while that has not come."""
        start = self._held.lstrip()
        fence = _FENCE.match(start)
        if fence and fence.end() < len(start):
            start = start[fence.end() :]
        elif start.startswith("`") and len(start) < MAX_HEADER and re.fullmatch(r"`{1,3}[a-z_]*\s*", start):
            return ""
        if start:
            self._has_begun_json, self._held = True, ""
        return start

    def _read(self, parts: Iterator[Part]) -> Iterator[Piece]:
        yield from self._calls.read(parts)
        if self._calls.is_none or (self._json.is_done and not self._calls.has_begun):
            yield self._give_up()
        elif self._json.is_done:
            yield from self._close(self._json.held)

    def _give_up(self) -> Piece:
        """What was read is text; behind it there may be another call."""
        raw = "".join(self._raw)
        self._end(self._json.held)
        return Lost(raw[: len(raw) - len(self.rest)])

    def _close(self, following: str) -> Iterator[Piece]:
        """Take the closing mark, once it is clear whether it comes; or the next call behind the same opening mark."""
        self._json.held = following
        start = following.lstrip()
        if not self._is_strict and (another := start.lstrip(";, \t\r\n")).startswith("{"):
            self._is_mended = self.is_mended
            self._json = LenientJson(self._closes)
            self._calls = JsonCalls(self._tools, is_strict=False)
            self._raw = [another]
            yield from self._read(self._json.feed(another))
            return
        if not self._is_strict and start and not another:
            return
        for close in self._closes:
            if start.startswith(close):
                self._end(start[len(close) :])
                return
        if not self._closes or (start and not any(close.startswith(start) for close in self._closes)):
            self._end(following)


class NamedSection(MarkedSection):
    """A name, something between, and the arguments as an object."""

    def __init__(
        self,
        tools: Toolbox,
        mark: str,
        *,
        closes: tuple[str, ...] = (),
        name_of: Callable[[str], tuple[str, str]],
    ) -> None:
        """`name_of` finds name and id (or nothing) in what stands before the arguments."""
        super().__init__(tools, mark)
        self._closes = closes
        self._name_of = name_of
        self._has_ended = False
        self._json: LenientJson | None = None

    def feed(self, text: str) -> Iterator[Piece]:
        self._held += text
        if self._json is None:
            yield from self._read_header(is_last=False)
        if self._json is not None:
            yield from self._read(self._json)

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        if self.is_done:
            return
        self.is_done = True
        if self._json is None:
            if not is_cut:
                yield from self._read_header(is_last=True)
            if self._json is None and not self._has_ended:
                yield self._give_up()
        elif not self._json.is_done and not is_cut:
            yield from _arguments(self._json.finish())
            self._is_mended = True

    def _read_header(self, *, is_last: bool) -> Iterator[Piece]:
        close = min((at for each in self._closes if (at := self._held.find(each)) >= 0), default=-1)
        start = self._held.find("{")
        if start < 0 or 0 <= close < start:  # no arguments at all
            if close >= 0 or is_last:
                yield from self._end_without_arguments(close if close >= 0 else len(self._held))
            elif len(self._held) > MAX_HEADER:
                yield self._give_up()
            return
        name, call_id = self._name_of(self._held[:start])
        if not name or start > MAX_HEADER:
            yield self._give_up()
            return
        self._json = LenientJson(self._closes)
        self._held = self._held[start:]
        yield Begun(self._tools.find(name) or name, call_id)

    def _end_without_arguments(self, close: int) -> Iterator[Piece]:
        name, call_id = self._name_of(self._held[:close])
        self._has_ended = True
        if not name or self._tools.find(name) is None:
            yield self._give_up()
            return
        yield Begun(self._tools.find(name) or name, call_id)
        yield Arguments("{}")
        self._is_mended = True
        self._end(_without_close(self._held[close:], self._closes))

    def _read(self, reader: LenientJson) -> Iterator[Piece]:
        if not reader.is_done:
            text, self._held = self._held, ""
            yield from _arguments(reader.feed(text))
            if not reader.is_done:
                return
            self._is_mended = reader.is_mended
            self._held = reader.held
        self._close()

    def _close(self) -> None:
        """Take what belongs to the call's end; R1 closes its fence of code before."""
        start = self._held.lstrip()
        start = start.removeprefix("```").lstrip() if start.startswith("```") else start
        if any(start.startswith(close) for close in self._closes):
            self._end(_without_close(start, self._closes))
        elif not self._closes or not _may_close(start, self._closes):
            self._end(self._held)


def _arguments(parts: Iterator[Part]) -> Iterator[Piece]:
    return (Arguments(part.text) for part in parts)


def _may_close(text: str, closes: tuple[str, ...]) -> bool:
    return "```".startswith(text) or any(close.startswith(text) for close in closes)


def _without_close(text: str, closes: tuple[str, ...]) -> str:
    return next((text[len(close) :] for close in closes if text.startswith(close)), text)
