"""Separates what a model thinks from what it says, while the text streams.

Thinking stands at the very start of an answer, between the marks of the model's family; the rendered prompt may
already have opened it. Text that could still become a mark is held back. Further down an answer the same marks are
plain text: somebody may be asking about them. It does not know tokens or templates, only text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webui.engine.stop_strings import pending_suffix
from webui.types import ReasoningDelta, TextDelta


@dataclass(frozen=True, slots=True)
class ThinkMarks:
    """What opens and closes thinking; an empty `close` means that `open` says: no thinking, the answer follows."""

    open: str
    close: str


HARMONY_MARKS = ThinkMarks("<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>")  # gpt-oss
MARKS = (
    ThinkMarks("<think>", "</think>"),  # DeepSeek-R1, Qwen3, SmolLM3, ...
    ThinkMarks("<thinking>", "</thinking>"),
    ThinkMarks("<seed:think>", "</seed:think>"),
    ThinkMarks("<thought>", "</thought>"),
    ThinkMarks("<reasoning>", "</reasoning>"),
    ThinkMarks("[THINK]", "[/THINK]"),  # Magistral
    ThinkMarks("◁think▷", "◁/think▷"),  # Kimi
    ThinkMarks("<mm:think>", "</mm:think>"),  # MiniMax M3
    ThinkMarks("<think:opensource>", "</think:opensource>"),  # Hunyuan 3
    ThinkMarks("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi K3
    HARMONY_MARKS,
    ThinkMarks("<|channel|>final<|message|>", ""),
    ThinkMarks("<|START_THINKING|>", "<|END_THINKING|>"),  # Command R7B, Command A
    ThinkMarks("<|channel>thought", "<channel|>"),  # Gemma 4
    ThinkMarks("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ThinkMarks("Here is my thought process:", "Here is my response:"),  # Granite 3.2
    ThinkMarks("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),  # Apriel, whose prompt opens it
    ThinkMarks("<|think|>", "<|end|><|begin|>assistant"),  # Solar
)
_AROUND = {"<response>": "</response>", "<answer>": "</answer>", "": "[END FINAL RESPONSE]"}
"""What some put around the answer behind their thoughts (Granite 3.3 and ERNIE, Hunyuan, Apriel)."""
_CLOSES = tuple(marks.close for marks in MARKS if marks.close.startswith("</"))
"""What an answer may begin with where the model had nothing to think (MiniMax M3, GLM 4.7)."""


def is_part_of_mark(control_text: str) -> bool:
    """Whether a control token's text must be kept in the stream, because marks are made of it."""
    return any(control_text in marks.open or control_text in marks.close for marks in MARKS)


def find_open_marks(prompt: str) -> ThinkMarks | None:
    """The marks that the end of a rendered prompt has opened already."""
    ending = prompt.rstrip()
    return next((marks for marks in MARKS if marks.close and ending.endswith(marks.open)), None)


def closes_thoughts(prompt: str) -> bool:
    """Whether a rendered prompt ends with thoughts that are closed already."""
    ending = prompt.rstrip()
    return any(marks.close and ending.endswith(marks.close) for marks in MARKS)


class ReasoningSplitter:
    """One answer: starts undecided, may think, then says."""

    def __init__(self, opened: ThinkMarks | None = None) -> None:
        self._marks = opened  #: set while thinking
        self._is_decided = opened is not None
        self._is_bare = opened is not None  #: the next text's leading blank lines belong to the marks
        self._held = ""
        self._is_behind_thinking = False  #: thinking has just ended: the answer may have marks around it
        self._last_mark = ""  #: the mark at the answer's end that is no text

    @property
    def is_thinking(self) -> bool:
        return self._marks is not None

    @property
    def ending(self) -> str:
        """What ends the present thoughts."""
        return f"\n{self._marks.close}\n\n" if self._marks is not None else ""

    @property
    def num_held(self) -> int:
        return len(self._held)

    def drop_held(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[TextDelta | ReasoningDelta]:
        """Deltas for `text`, without what is held back."""
        self._held += text
        if not self._is_decided and not self._decide():
            return
        if self._marks is not None:
            yield from self._think(self._marks)
        if self._marks is None and self._is_unwrapped() and (said := self._take(self._certain_length())):
            yield TextDelta(text=said)

    def flush(self) -> Iterator[TextDelta | ReasoningDelta]:
        """What was held back in vain, at the end of the answer."""
        if self._last_mark and self._held.rstrip().endswith(self._last_mark):
            self._held = self._held.rstrip().removesuffix(self._last_mark)
        if self._held:
            yield ReasoningDelta(text=self._held) if self._marks is not None else TextDelta(text=self._held)
            self._held = ""

    def _decide(self) -> bool:
        """Look at the start of the answer: does it think? False while that is not clear yet."""
        start = self._held.lstrip()
        for marks in MARKS:
            if start.startswith(marks.open):
                self._held = start[len(marks.open) :]
                self._marks = marks if marks.close else None
                self._is_decided = self._is_bare = True
                return True
        if close := next((close for close in _CLOSES if start.startswith(close)), None):
            self._held = start[len(close) :]
            self._is_decided = self._is_bare = True
            return True
        beginnings = (*(marks.open for marks in MARKS), *_CLOSES)
        self._is_decided = bool(start) and not any(mark.startswith(start) for mark in beginnings)
        return self._is_decided

    def _think(self, marks: ThinkMarks) -> Iterator[ReasoningDelta]:
        end = self._held.find(marks.close)
        length = end if end >= 0 else len(self._held) - pending_suffix(self._held, marks.close)
        if thought := self._take(length):
            yield ReasoningDelta(text=thought)
        if end >= 0:
            self._held = self._held.removeprefix(marks.close)
            self._marks, self._is_bare, self._is_behind_thinking = None, True, True
            self._last_mark = _AROUND[""] if "RESPONSE" in marks.close else ""

    def _is_unwrapped(self) -> bool:
        """Take the mark before the answer off; False while it is not clear whether there is one."""
        if not self._is_behind_thinking:
            return True
        start = self._held.lstrip()
        if not start or any(first != start and first.startswith(start) for first in _AROUND):
            return False
        self._is_behind_thinking = False
        if first := next((first for first in _AROUND if first and start.startswith(first)), ""):
            self._held, self._last_mark = start.removeprefix(first), _AROUND[first]
        return True

    def _certain_length(self) -> int:
        """How much of the held text is not the mark at the answer's end, and cannot become it."""
        if not self._last_mark:
            return len(self._held)
        text = self._held.rstrip()
        if text.endswith(self._last_mark):
            return len(text) - len(self._last_mark)
        return len(self._held) - pending_suffix(self._held, self._last_mark)

    def _take(self, length: int) -> str:
        """Cut `length` characters off the held text; blanks right behind a mark are dropped."""
        taken, self._held = self._held[:length], self._held[length:]
        if self._is_bare:
            taken = taken.lstrip()
            self._is_bare = not taken
        return taken
