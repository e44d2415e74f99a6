"""Reads the tool calls out of one answer while it streams: text goes on as text, calls become deltas.

Marks never show, and half of one at the end of a piece is held back until it is clear; blanks before a call are no
text. The result does not depend on how the answer is cut into pieces. It does not know what the model thought: that is
split off before.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from webui.engine.stop_strings import pending_suffix
from webui.engine.tool_calls.formats import ToolFormat
from webui.engine.tool_calls.pieces import Arguments, Begun, Lost, Piece, Section, Toolbox
from webui.engine.tool_calls.sections import Dropped, JsonSection
from webui.engine.tool_calls.whole_calls import WholeSection, read_python
from webui.types import TextDelta, Tool, ToolCallDelta

_LIST = re.compile(r"\[\s*\{")
_PYTHON = re.compile(r"\[\s*(?P<name>[A-Za-z_][\w.]*)\s*\(")
_UNCLEAR = re.compile(r"|\[\s*(?:[A-Za-z_][\w.]*)?\s*")  # what may still become one of them
_MENDED = "The model's JSON for tool call {} was not valid, and has been mended."
_UNREADABLE = "Something that begins like a tool call could not be read; it stands in the text."
ASKED_AGAIN = "The model's tool call could not be read; it was asked again, and held to the form of its calls."
MAX_SUSPECT = 200  #: characters from a call's mark on, within which it names a tool


class CallReader:
    """One answer."""

    def __init__(
        self, form: ToolFormat, tools: tuple[Tool, ...], *, is_parallel: bool = True, can_ask_again: bool = False
    ) -> None:
        """`can_ask_again`: a call that cannot be read is no text, but `is_broken`, to be asked for again."""
        self._format = form
        self._can_ask_again = can_ask_again
        self._num_fed = len(form.lead)
        self._mark = ""
        self._blanks = ""  #: before the mark: no text, unless the mark is none
        self._mark_at = 0  #: where in the text the present section, or those that say nothing right before it, begin
        self._is_behind_dropped = False
        self._lost = ""  #: what begins like a call and could not be read; `held` begins with it
        self._tools = Toolbox(tools)
        self._is_parallel = is_parallel
        self._held = form.lead
        self._section: Section | None = None
        self._is_marked = False  #: the section began with a mark
        self._has_text = False
        self._is_behind_call = False
        self._ids: set[str] = set()
        self.num_calls = 0
        self._num_before = 0  #: calls before the present section
        self.notes: list[str] = []
        self.has_ended = False  #: more calls than wanted: nothing further is part of the answer

    @property
    def is_broken(self) -> bool:
        """The model wants to call a tool, and what it wrote cannot be read: `ask_again`, or `give_back`."""
        return bool(self._lost) and self._tools.is_named_in(self._held[:MAX_SUSPECT])

    @property
    def num_lost(self) -> int:
        """Characters at the end of the text that belong to the broken call; a mark that begins every answer stays."""
        return self._num_fed - self._mark_at - len(self._format.lead)

    def ask_again(self) -> None:
        """What is broken was never said; the next call comes in its place."""
        self._num_fed -= self.num_lost
        self._held, self._lost = self._format.lead, ""
        self._has_text = self._can_ask_again = False
        self._note(ASKED_AGAIN)

    def give_back(self) -> Iterator[TextDelta | ToolCallDelta]:
        """It is text after all."""
        lost, self._lost = self._lost, ""
        self._held = self._held[len(lost) :]
        self._note(_UNREADABLE)
        yield from self._text(self._blanks + lost)
        yield from self.feed("")

    def feed(self, text: str) -> Iterator[TextDelta | ToolCallDelta]:
        self._held += text
        self._num_fed += len(text)
        if self._lost and not self.is_broken and len(self._held) >= MAX_SUSPECT:
            yield from self.give_back()
        while not self.has_ended and not self._lost:
            if self._section is None and not self._open():
                yield from self._say(self._certain_length())
                return
            if self._section is None:
                yield from self._say_before_mark()
                continue
            held, self._held = self._held, ""
            yield from self._tell(self._section.feed(held))
            if not self._section.is_done:
                return
            self._leave(self._section)

    def finish(self, *, is_cut: bool) -> Iterator[TextDelta | ToolCallDelta]:
        """The answer has ended; `is_cut`: not by the model. Afterwards it may be broken, unless it was cut."""
        self._can_ask_again = self._can_ask_again and not is_cut
        while not self.has_ended:
            if self._lost and (is_cut or not self.is_broken):
                yield from self.give_back()
            elif self._lost:
                return
            elif self._section is None:
                break
            else:
                yield from self._tell(self._section.finish(is_cut=is_cut))
                self._leave(self._section)
                yield from self.feed("")
        if not self.has_ended and not (self.num_calls and not self._held.strip()):
            yield from self._say(len(self._held))

    # --- text ------------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        """Whether a section begins, at once or behind some text."""
        if self._format.bare and not self._has_text and (section := self._bare_section()) is not None:
            self._section, self._is_marked = section, False
            self._held = self._start()
            return True
        return self._find_mark() is not None

    def _start(self) -> str:
        return self._held.lstrip(" \t\r\n;," if self._is_behind_call else None)

    def _bare_section(self) -> Section | None:
        """The section that begins here without a mark."""
        start = self._start()
        if start.startswith("{") or _LIST.match(start):
            return JsonSection(self._tools, is_strict=True)
        python = _PYTHON.match(start)
        if python and self._tools.find(python["name"]) is not None:
            return WholeSection(self._tools, "", close=")]", read=lambda text, tools: read_python(_whole(text), tools))
        return None

    def _find_mark(self) -> tuple[int, str] | None:
        found = [(at, -len(mark), mark) for mark in self._format.opens if (at := self._held.find(mark)) >= 0]
        if not found:
            return None
        at, _, mark = min(found)
        return at, mark

    def _say_before_mark(self) -> Iterator[TextDelta]:
        found = self._find_mark()
        if found is None:
            return
        at, mark = found
        before, self._held = self._held[:at], self._held[at:]
        said = before.rstrip()
        self._blanks = before[len(said) :]
        yield from self._text(said)
        if not self._is_behind_dropped:
            self._mark_at = self._num_fed - len(self._held)
        self._mark, self._held = mark, self._held[len(mark) :]
        self._section, self._is_marked = self._format.opens[mark](self._tools, mark), True

    def _certain_length(self) -> int:
        """How much of the held text is certainly text."""
        if self._format.bare and not self._has_text and _UNCLEAR.fullmatch(self._start()):
            return 0
        keep = max((pending_suffix(self._held, mark) for mark in self._format.opens), default=0)
        return len(self._held[: len(self._held) - keep].rstrip())

    def _say(self, length: int) -> Iterator[TextDelta]:
        said, self._held = self._held[:length], self._held[length:]
        yield from self._text(said)

    def _text(self, said: str) -> Iterator[TextDelta]:
        if self._is_behind_call:
            said = said.lstrip()
        if said:
            self._is_behind_dropped = False
            self._has_text = self._has_text or bool(said.strip())
            self._is_behind_call = False
            yield TextDelta(text=said)

    # --- calls -----------------------------------------------------------------------------------------------------

    def _tell(self, pieces: Iterator[Piece]) -> Iterator[TextDelta | ToolCallDelta]:
        for piece in pieces:
            match piece:
                case Begun(name=name, id=call_id):
                    if self.num_calls and not self._is_parallel:
                        self.has_ended = True
                        return
                    self.num_calls += 1
                    call_id = call_id if call_id and call_id not in self._ids else new_id()
                    self._ids.add(call_id)
                    yield ToolCallDelta(index=self.num_calls - 1, id=call_id, name=name)
                case Arguments(text=text):
                    if text:
                        yield ToolCallDelta(index=self.num_calls - 1, arguments=text)
                case Lost(text=text) if self._is_meant and self._can_ask_again and not self._lost:
                    self._lost = text
                case Lost(text=text):
                    if self._is_meant:
                        self._note(_UNREADABLE)
                    yield from self._text(self._blanks + text if self._is_marked else text)
                    self._blanks = ""

    @property
    def _is_meant(self) -> bool:
        """Whether the section's mark means a call: a fence of code may hold anything."""
        return self._is_marked and not self._mark.startswith("```")

    def _leave(self, section: Section) -> None:
        self._section, self._held = None, self._lost + section.rest
        self._is_behind_dropped = isinstance(section, Dropped) and not self.num_calls
        if section.is_mended:
            self._note(_MENDED.format(self.num_calls))
        if self.num_calls > self._num_before:
            self._is_behind_call, self._has_text = True, False
        elif not isinstance(section, Dropped):
            self._has_text = True
        self._num_before = self.num_calls

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


def new_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _whole(text: str) -> str:
    """Python's calls with the brackets that the mark of their end has taken."""
    return f"{text})]"
