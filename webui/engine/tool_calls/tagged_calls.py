"""Calls in tags: the name in one, each argument in another, as Qwen3-Coder, GLM, Seed, MiniMax and DeepSeek V3.2 write.

The tags say nothing of types, so the tool's own schema does: what it wants as a string is passed on while it is
written, everything else is read as JSON once it is whole. It does not know which tags a family uses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from webui.engine.stop_strings import pending_suffix
from webui.engine.tool_calls.lenient_json import LenientJson
from webui.engine.tool_calls.pieces import Arguments, Begun, MarkedSection, Piece, Toolbox

MAX_TAG = 300  #: characters
_PYTHON = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True)
class Tags:
    """How a family writes a call behind its opening mark."""

    name: re.Pattern[str]  #: with a group `name`
    parameter: re.Pattern[str]  #: with groups `name` and, perhaps, `is_text` ("true" or "string": it is)
    last: str  #: how the tag of a parameter ends
    closes_value: str
    closes_call: tuple[str, ...]
    wraps: tuple[str, str] = ("", "")  #: what may stand around a value


class TaggedSection(MarkedSection):
    """One call."""

    def __init__(self, tools: Toolbox, mark: str, tags: Tags) -> None:
        super().__init__(tools, mark)
        self._tags = tags
        self._name = ""
        self._parameter: str | None = None
        self._is_text = False
        self._is_wrapped = False
        self._has_said = False  #: some of the present value
        self._num_parameters = 0

    def feed(self, text: str) -> Iterator[Piece]:
        self._held += text
        before = -1
        while not self.is_done and len(self._held) != before:
            before = len(self._held)
            if not self._name:
                yield from self._begin()
            elif self._parameter is None:
                yield from self._between()
            else:
                yield from self._value(self._parameter)

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        if self.is_done:
            return
        if not self._name:
            yield self._give_up()
            return
        self._end("")
        if not is_cut:
            self._is_mended = True
            if self._parameter is not None:
                yield from self._end_value(self._parameter, self._held)
            yield self._close()

    # --- the tags --------------------------------------------------------------------------------------------------

    def _begin(self) -> Iterator[Piece]:
        self._held = self._held.lstrip()
        match = self._tags.name.match(self._held)
        if match is None:
            if len(self._held) > MAX_TAG or (self._held and not _may_begin(self._held)):
                yield self._give_up()
            return
        self._name = self._tools.find(match["name"]) or match["name"].strip()
        self._held = self._held[match.end() :]
        yield Begun(self._name)

    def _between(self) -> Iterator[Piece]:
        """Behind the name or a value: the next parameter, or the end."""
        self._held = self._held.lstrip()
        if not self._held:
            return
        match = self._tags.parameter.match(self._held)
        if match is not None:
            self._parameter = match["name"].strip()
            self._is_text = self._wants_text(match)
            self._held = self._held[match.end() :]
            lead = "{" if not self._num_parameters else ","
            self._num_parameters += 1
            self._has_said = self._is_wrapped = False
            yield Arguments(f"{lead}{json.dumps(self._parameter, ensure_ascii=False)}:")
            return
        for close in self._tags.closes_call:
            if self._held.startswith(close):
                self._end(self._held[len(close) :])
                yield self._close()
                return
        is_tag = self._held.startswith("<") and self._tags.last not in self._held[:MAX_TAG]
        if (is_tag and len(self._held) < MAX_TAG) or any(
            each.startswith(self._held) for each in self._tags.closes_call
        ):
            return
        self._is_mended = True
        self._held = self._held[1:]

    def _wants_text(self, match: re.Match[str]) -> bool:
        told = match.groupdict().get("is_text")
        if told:
            return told in {"true", "string"}
        kind = self._tools.parameter(self._name, match["name"].strip()).get("type")
        return kind == "string"

    # --- values ----------------------------------------------------------------------------------------------------

    def _value(self, name: str) -> Iterator[Piece]:
        opens, _ = self._tags.wraps
        if opens and not self._has_said and not self._is_wrapped:
            if self._held.startswith(opens):
                self._is_wrapped, self._held = True, self._held[len(opens) :]
            elif opens.startswith(self._held):
                return
        ends = {mark: at for mark in self._ends if (at := self._held.find(mark)) >= 0}
        if ends:
            mark = min(ends, key=lambda each: ends[each])
            value, self._held = self._held[: ends[mark]], self._held[ends[mark] :]
            if mark == self._closes_value:
                self._held = self._held[len(mark) :]
            else:
                self._is_mended = True
            yield from self._end_value(name, value)
        elif self._is_text:
            yield from self._stream()

    @property
    def _ends(self) -> tuple[str, ...]:
        return (self._closes_value, *(() if self._is_wrapped else self._tags.closes_call))

    @property
    def _closes_value(self) -> str:
        return (self._tags.wraps[1] if self._is_wrapped else "") + self._tags.closes_value

    def _stream(self) -> Iterator[Piece]:
        """The text that certainly belongs to the value; a line feed at its very beginning or end does not."""
        if not self._has_said:
            if self._held in ("", "\n"):
                return
            self._held = self._held.removeprefix("\n")
        keep = max(pending_suffix(self._held, mark) for end in self._ends for mark in (end, f"\n{end}"))
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if said:
            yield Arguments(("" if self._has_said else '"') + _inner(said))
            self._has_said = True

    def _end_value(self, name: str, value: str) -> Iterator[Piece]:
        self._parameter = None
        if not self._has_said:
            value = value.removeprefix("\n")
        value = value.removesuffix("\n")
        if self._is_text:
            yield Arguments(("" if self._has_said else '"') + _inner(value) + '"')
        else:
            yield Arguments(_as_json(value, self._tools.parameter(self._name, name).get("type")))

    def _close(self) -> Piece:
        return Arguments("}" if self._num_parameters else "{}")


def _may_begin(held: str) -> bool:
    """Whether a tag or a name can still come of it, or attributes."""
    return not re.match(r"[^<\"]*\s[^<\s\"]", held)


def _inner(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _as_json(value: str, kind: object) -> str:
    """A value of another kind than string, or of one that the schema does not tell."""
    value = value.strip()
    kinds = kind if isinstance(kind, list) else [kind]
    if value in _PYTHON and "string" not in kinds:
        return _PYTHON[value]
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        if value[:1] in {"{", "["}:
            reader = LenientJson()
            parts = "".join(part.text for part in [*reader.feed(value), *reader.finish()])
            if not reader.is_broken and not reader.held.strip():
                return parts
        return json.dumps(value, ensure_ascii=False)
    try:
        return json.dumps(read, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # NaN, or nested as deep as it can just be read
        return json.dumps(value, ensure_ascii=False)
