"""From the text of one answer to what it is: thoughts, words, tool calls.

Puts together who splits off the thinking and who reads the calls, as the model's family needs it. It does not know
tokens, stop strings or when the answer ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from webui.engine.reasoning import ReasoningSplitter, ThinkMarks
from webui.engine.tool_calls.families import GENERIC
from webui.engine.tool_calls.formats import ToolFormat
from webui.engine.tool_calls.harmony import MARKS, AnswerForm, HarmonyReader
from webui.engine.tool_calls.reader import CallReader
from webui.engine.tool_calls.repeats import NOTE as REPEATED
from webui.engine.tool_calls.repeats import Repeats
from webui.types import ReasoningDelta, TextDelta, Tool, ToolCallDelta, ToolChoice

Delta = TextDelta | ReasoningDelta | ToolCallDelta


class AnswerReader:
    """One answer."""

    def __init__(
        self,
        opened: ThinkMarks | None = None,
        form: ToolFormat = GENERIC,
        tools: tuple[Tool, ...] = (),
        choice: ToolChoice | None = None,
        *,
        can_ask_again: bool = False,
    ) -> None:
        """`opened`: thinking that the prompt has opened already. `can_ask_again`: see CallReader."""
        choice = choice or ToolChoice()
        tools = tools if choice.mode != "none" else ()
        self._splitter = ReasoningSplitter(opened)
        self._calls: CallReader | None = None
        if tools:
            self._calls = CallReader(form, tools, is_parallel=choice.is_parallel, can_ask_again=can_ask_again)
        elif form.frames:
            self._calls = CallReader(form.without_calls(), ())
        self._repeats = Repeats() if choice.is_forced and choice.is_parallel else None
        self._harmony = None
        if form.is_harmony:
            self._harmony = HarmonyReader(
                tools,
                is_parallel=choice.is_parallel,
                is_thinking=opened is not None,
                can_ask_again=can_ask_again,
            )
        self.marks = frozenset(MARKS if form.is_harmony else form.marks if tools else form.frames)
        """Control tokens' texts that must be fed, which are silent otherwise."""

    @property
    def is_thinking(self) -> bool:
        return self._harmony.is_thinking if self._harmony is not None else self._splitter.is_thinking

    def ending(self, form: AnswerForm) -> str:
        """The text that ends the present thoughts, before an answer of this form."""
        return self._harmony.ending(form) if self._harmony is not None else self._splitter.ending

    def lead(self, form: AnswerForm) -> str:
        """What must stand between thoughts that the model has ended and an answer of this form."""
        return self._harmony.lead(form) if self._harmony is not None else ""

    @property
    def num_calls(self) -> int:
        reader = self._harmony or self._calls
        return reader.num_calls if reader is not None else 0

    @property
    def notes(self) -> tuple[str, ...]:
        reader = self._harmony or self._calls
        repeated = (REPEATED,) if self._repeats is not None and self._repeats.has_found else ()
        return (*(reader.notes if reader is not None else ()), *repeated)

    @property
    def has_ended(self) -> bool:
        """Nothing that may still come is part of the answer."""
        reader = self._harmony or self._calls
        is_repeated = self._repeats is not None and self._repeats.has_found
        return is_repeated or (reader is not None and reader.has_ended)

    @property
    def num_lost(self) -> int:
        """Characters at the end of the text that are a call which cannot be read: `ask_again`, or `give_back`. 0: there
        is none."""
        reader = self._harmony or self._calls
        return reader.num_lost + self._splitter.num_held if reader is not None and reader.is_broken else 0

    def ask_again(self) -> None:
        if (reader := self._harmony or self._calls) is not None:
            reader.ask_again()
            self._splitter.drop_held()

    def give_back(self) -> Iterator[Delta]:
        if (reader := self._harmony or self._calls) is not None:
            yield from reader.give_back()

    def feed(self, text: str) -> Iterator[Delta]:
        yield from self._without_repeats(self._feed(text))

    def finish(self, *, is_cut: bool) -> Iterator[Delta]:
        """What was held back in vain. `is_cut`: it was not the model that ended its answer."""
        yield from self._without_repeats(self._finish(is_cut=is_cut))
        if self._repeats is not None:
            yield from self._repeats.flush()

    def _feed(self, text: str) -> Iterator[Delta]:
        if self._harmony is not None:
            yield from self._harmony.feed(text)
        else:
            yield from self._read(self._splitter.feed(text))

    def _finish(self, *, is_cut: bool) -> Iterator[Delta]:
        if self._harmony is not None:
            yield from self._harmony.finish(is_cut=is_cut)
            return
        yield from self._read(self._splitter.flush())
        if self._calls is not None:
            yield from self._calls.finish(is_cut=is_cut)

    def _without_repeats(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if self._repeats is not None and isinstance(delta, ToolCallDelta):
                yield from self._repeats.filter(delta)
            else:
                yield delta

    def _read(self, deltas: Iterator[TextDelta | ReasoningDelta]) -> Iterator[Delta]:
        for delta in deltas:
            if self._calls is None or isinstance(delta, ReasoningDelta):
                yield delta
            else:
                yield from self._calls.feed(delta.text)
