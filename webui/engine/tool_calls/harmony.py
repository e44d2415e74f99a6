"""Harmony, the format of gpt-oss: every message of an answer has a channel, and a recipient when it is a call.

`analysis` is thinking, `final` and `commentary` are text, and what is addressed to `functions.…` is a call; all in one
stream: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.f
<|constrain|>json<|message|>{…}<|call|>`. Source: https://cookbook.openai.com/articles/openai-harmony. It does not know
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from webui.engine.stop_strings import pending_suffix
from webui.engine.tool_calls.lenient_json import LenientJson
from webui.engine.tool_calls.pieces import Toolbox
from webui.engine.tool_calls.reader import ASKED_AGAIN, new_id
from webui.types import ReasoningDelta, TextDelta, Tool, ToolCallDelta

MARKS = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>", "<|return|>", "<|constrain|>")
_ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>")
_START, _FINAL = "<|start|>assistant", "<|channel|>final<|message|>"
_BEGIN = re.compile(r"\s*(?:<\|start\|>)?\s*(?:assistant)?")
_RECIPIENT = re.compile(r"to=([\w.:/-]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_BEGINNINGS = ("<|", "assistant", "to=")
_MENDED = "The model's JSON for tool call {} was not valid, and has been mended."

Delta = TextDelta | ReasoningDelta | ToolCallDelta
AnswerForm = Literal["free", "call", "answer"]  #: of a grammar that holds behind the thoughts: a call, or an answer


class HarmonyReader:
    """One answer."""

    def __init__(
        self,
        tools: tuple[Tool, ...],
        *,
        is_parallel: bool = True,
        is_thinking: bool = False,
        can_ask_again: bool = False,
    ) -> None:
        """`is_thinking`: the prompt has opened the channel of thoughts. `can_ask_again`: see CallReader."""
        self._can_ask_again = can_ask_again
        self._num_fed = 0
        self._call_at = 0  #: where in the text the present call's header begins, behind `<|start|>assistant`
        self._begun: ToolCallDelta | None = None  #: a call of which nothing was told yet
        self.is_broken = False  #: see CallReader
        self._tools = Toolbox(tools)
        self._has_tools = bool(tools)
        self._num_thoughts = int(is_thinking)
        self._is_parallel = is_parallel
        self._held = ""
        #: the kind of message that is being read; None: its header is
        self._body: str | None = "analysis" if is_thinking else None
        self._json = LenientJson()
        self._has_said = False  #: some of the present message
        self._has_text = False
        self.num_calls = 0
        self.notes: list[str] = []
        self.has_ended = False

    @property
    def is_thinking(self) -> bool:
        return self._body == "analysis"

    def ending(self, form: AnswerForm) -> str:
        """What ends the present thoughts. The model may go on with a call; if it goes on thinking, it has to answer."""
        if form == "free":
            return f"<|end|>{_START}{'' if self._has_tools and self._num_thoughts < 2 else _FINAL}"
        return f"<|end|>{self.lead(form)}"

    def lead(self, form: AnswerForm) -> str:
        """The header of an answer that has a form; a call's own grammar begins with the rest of it."""
        return {"free": "", "call": _START, "answer": f"{_START}{_FINAL}"}[form]

    @property
    def num_lost(self) -> int:
        """Characters at the end of the text that belong to the broken call."""
        return self._num_fed - self._call_at

    def ask_again(self) -> None:
        """What is broken was never said; the next call comes in its place."""
        self._num_fed, self._held, self._body = self._call_at, "", None
        self._begun, self.is_broken, self._can_ask_again = None, False, False
        self.num_calls -= 1
        self.notes.append(ASKED_AGAIN)

    def give_back(self) -> Iterator[Delta]:
        """It is a call all the same, without its arguments."""
        self.is_broken = self._can_ask_again = False
        yield from self._end_call()
        yield from self.feed("")

    def feed(self, text: str) -> Iterator[Delta]:
        self._held += text
        self._num_fed += len(text)
        before: tuple[int, str | None] = (-1, None)
        while not self.has_ended and not self.is_broken and (len(self._held), self._body) != before:
            before = len(self._held), self._body
            if self._body is None:
                self._header()
            else:
                yield from self._message(self._body)

    def finish(self, *, is_cut: bool) -> Iterator[Delta]:
        if self._body is None or self.has_ended or self.is_broken:
            return
        said, self._held = self._held, ""
        yield from self._say(self._body, said)
        if self._body == "call" and not is_cut:
            yield from self._end_call()

    # --- headers ---------------------------------------------------------------------------------------------------

    def _header(self) -> None:
        end = self._held.find("<|message|>")
        start = self._held.lstrip()
        if not start:
            return
        if not any(start.startswith(each) or each.startswith(start) for each in _BEGINNINGS):
            self._body, self._has_said = "final", False  # text without a channel
            return
        if end < 0:
            return
        begin = _BEGIN.match(self._held)
        self._call_at = self._num_fed - len(self._held) + (begin.end() if begin else 0)
        header, self._held = self._held[:end], self._held[end + len("<|message|>") :]
        recipient, channel = _RECIPIENT.search(header), _CHANNEL.search(header)
        self._has_said = False
        if recipient and self._tools.find(recipient[1]):
            self._begin_call(self._tools.find(recipient[1]) or "")
        else:
            self._body = "analysis" if channel and channel[1] == "analysis" else "final"
            self._num_thoughts += self._body == "analysis"

    def _begin_call(self, name: str) -> None:
        if self.num_calls and not self._is_parallel:
            self.has_ended = True
            return
        self._body, self._json = "call", LenientJson()
        self.num_calls += 1
        self._begun = ToolCallDelta(index=self.num_calls - 1, id=new_id(), name=name)

    # --- messages --------------------------------------------------------------------------------------------------

    def _message(self, body: str) -> Iterator[Delta]:
        found = [(at, mark) for mark in _ENDS if (at := self._held.find(mark)) >= 0]
        if found:
            at, mark = min(found)
            said, self._held = self._held[:at], self._held[at:]
            if mark not in {"<|start|>", "<|channel|>"}:
                self._held = self._held[len(mark) :]
            yield from self._say(body, said)
            if body == "call":
                yield from self._end_call()
            self._body = None if not self.is_broken else body
            return
        keep = max(pending_suffix(self._held, mark) for mark in _ENDS)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        yield from self._say(body, said)

    def _say(self, body: str, said: str) -> Iterator[Delta]:
        if not said:
            return
        if body == "call":
            self._has_said = self._has_said or bool(said.strip())
            for part in self._json.feed(said):
                yield from self._begin_to_tell()
                yield ToolCallDelta(index=self.num_calls - 1, arguments=part.text)
            return
        if not self._has_said:
            said = said.lstrip()
            if said and body == "final" and self._has_text:
                said = f"\n\n{said}"
        if said:
            self._has_said = True
            self._has_text = self._has_text or body == "final"
            yield ReasoningDelta(text=said) if body == "analysis" else TextDelta(text=said)

    def _begin_to_tell(self) -> Iterator[Delta]:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            yield begun

    def _end_call(self) -> Iterator[Delta]:
        parts = list(self._json.finish())
        if self._json.is_broken and self._has_said and self._can_ask_again:
            self.is_broken = True
            return
        yield from self._begin_to_tell()
        if self._json.is_broken:
            parts, text = [], "{}"
        else:
            text = "".join(part.text for part in parts)
        if text:
            yield ToolCallDelta(index=self.num_calls - 1, arguments=text)
        if self._json.is_mended or self._json.is_broken:
            self.notes.append(_MENDED.format(self.num_calls))
