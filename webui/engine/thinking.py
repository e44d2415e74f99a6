"""How a model is told to think or not to, and how much: found out from its chat template.

A template is tried with each of the variables (or words) that templates know for it, and what it makes of them is
compared; no model is known by name. What it cannot be told is done otherwise: thoughts are opened or closed in the
prompt, and an effort becomes a share of the answer's room. It does not know tokens, nor how thoughts are ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

from webui.engine.reasoning import MARKS, ThinkMarks, closes_thoughts, find_open_marks
from webui.errors import CannotThink, TemplateFailed
from webui.types import Thinking, ThinkingEffort, ThinkingSupport

Values = Mapping[str, Any]  #: variables for a template
Render = Callable[[list[dict[str, Any]], Values], str]

EFFORTS: tuple[ThinkingEffort, ...] = get_args(ThinkingEffort)
SHARES: dict[ThinkingEffort, float] = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""Of the answer's tokens, what an effort allows for thoughts where the template knows none (OpenRouter's shares)."""
_WORDS: dict[ThinkingEffort, tuple[str, ...]] = {
    "minimal": ("minimal",), "low": ("low",), "medium": ("medium",), "high": ("high",), "xhigh": ("xhigh", "max"),
}  # fmt: skip
_EFFORT_NAMES = ("reasoning_effort", "thinking_effort")
_NONSENSE = "no_such_value"
_TAG = re.compile(r"<[^>]+>")
_QUESTION = {"role": "user", "content": "What is in the haystack?"}


@dataclass(frozen=True)
class _Switch:
    """One way to say on and off: variables, or a word at the end of the system prompt."""

    on: Values = field(default_factory=dict)
    off: Values = field(default_factory=dict)
    words: tuple[str, str] = ("", "")  #: on, off

    def is_mentioned(self, source: str) -> bool:
        names = (*self.on, *self.off, *filter(None, self.words))
        return all(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source) for name in names)


_SWITCHES = (
    _Switch({"enable_thinking": True}, {"enable_thinking": False}),  # Qwen3, GLM, SmolLM3, Gemma 4, Nemotron, ...
    _Switch({"thinking": True}, {"thinking": False}),  # DeepSeek, Granite, Kimi K3
    _Switch({"thinking_mode": "enabled"}, {"thinking_mode": "disabled"}),  # MiniMax M3
    _Switch({"reasoning": True}, {"reasoning": False}),  # Command A
    _Switch({"thinking_option": "on"}, {"thinking_option": "off"}),  # Ling
    _Switch({"thinking_budget": -1}, {"thinking_budget": 0}),  # Seed
    _Switch(words=("/think", "/no_think")),  # Nemotron Nano
)
_OFF_EFFORTS = ("none", "no_think", "minimal")
"""What an effort's variable may be for "not at all"; the last is that only where thoughts are then closed."""


@dataclass(frozen=True)
class Told:
    """What is done so that a model thinks as it was asked to."""

    values: Values = field(default_factory=dict)
    word: str = ""  #: at the end of the system prompt
    is_off: bool = False  #: where the prompt still opens thoughts, they are closed at once
    share: float | None = None  #: of the answer's tokens, the most that may be thoughts


AS_IT_IS = Told()


class ThinkingTemplate:
    """How one template is told."""

    def __init__(self, source: str | None, render: Render) -> None:
        """`render` makes a prompt of messages with these variables; it may raise TemplateFailed."""
        self._source = source or ""
        self._render = render

    @cached_property
    def support(self) -> ThinkingSupport:
        """Costs some renderings, once."""
        can_switch = self._switch is not None
        return ThinkingSupport(
            can_think=can_switch or bool(self._efforts) or self.marks is not None,
            can_switch=can_switch,
            is_on=self._is_on,
            efforts=tuple(self._efforts),
        )

    @cached_property
    def marks(self) -> ThinkMarks | None:
        """What stands around the model's thoughts, as far as its template tells."""
        for text in (self._try(self._switch.on) if self._switch else "", self._plain):
            if text and (opened := find_open_marks(text)):
                return opened
        both = (each for each in MARKS if each.close and self._mentions(each.open) and self._mentions(each.close))
        return next(both, MARKS[0] if MARKS[0].close in self._source else None)

    def tell(self, thinking: Thinking) -> Told:
        """Raises CannotThink for a model that does not think and was asked to."""
        is_on = thinking.is_on
        if is_on is None and thinking.effort is not None:
            is_on = True
        if thinking.budget_tokens == 0:
            is_on = False
        if is_on is None:
            return AS_IT_IS
        if not self.support.can_think:
            if is_on and not thinking.is_wish:
                raise CannotThink
            return AS_IT_IS
        values: dict[str, Any] = {}
        word = ""
        if self._switch is not None:
            values |= self._switch.on if is_on else self._switch.off
            word = self._switch.words[not is_on]
        if not is_on:
            return Told(values, word, is_off=True)
        share = None
        if thinking.effort is not None:
            told = self._nearest(thinking.effort)
            values |= self._efforts[told] if told is not None else {}
            share = SHARES[thinking.effort] if told is None else None
        return Told(values, word, share=share)

    def _nearest(self, effort: ThinkingEffort) -> ThinkingEffort | None:
        """The largest known effort that is not above this one; the least of all is as good as the next."""
        below = [each for each in self._efforts if EFFORTS.index(each) <= EFFORTS.index(effort)]
        if not below and effort == "minimal" and "low" in self._efforts:
            return "low"
        return below[-1] if below else None

    def _mentions(self, mark: str) -> bool:
        """Whether every tag of a mark is in the template, which may put them together."""
        return all(tag in self._source for tag in _TAG.findall(mark) or [mark])

    # --- what the template makes of it -----------------------------------------------------------------------------

    @cached_property
    def _plain(self) -> str | None:
        return self._try({})

    @cached_property
    def _is_on(self) -> bool:
        if self._switch is None:
            return self.marks is not None or bool(self._efforts)
        return self._plain != self._try(self._switch.off, self._switch.words[1])

    @cached_property
    def _switch(self) -> _Switch | None:
        """The first way that makes a difference."""
        for switch in _SWITCHES:
            if switch.is_mentioned(self._source):
                on, off = (self._try(values, word) for values, word in _states(switch))
                if on is not None and off is not None and on != off:
                    return switch
        for name, value in self._effort_values(_OFF_EFFORTS):
            if value != "minimal" or closes_thoughts(self._try({name: value}) or ""):
                return _Switch({name: "high"}, {name: value})
        return None

    @cached_property
    def _efforts(self) -> dict[ThinkingEffort, Values]:
        """The efforts that the template tells apart, and the variable that says each."""
        names = [name for name in _EFFORT_NAMES if name in self._source]
        on = self._switch.on if self._switch is not None else {}
        found: dict[ThinkingEffort, Values] = {}
        for name in names:
            if _NONSENSE in (self._try({**on, name: _NONSENSE}) or ""):  # takes anything: then what gpt-oss knows
                return {effort: {name: effort} for effort in EFFORTS if effort in {"low", "medium", "high"}}
            spelled = {word: effort for effort, words in _WORDS.items() for word in words}
            for _, word in self._effort_values(tuple(spelled), name):
                found.setdefault(spelled[word], {name: word})
        off = self._switch.off if self._switch is not None else {}
        return {effort: found[effort] for effort in EFFORTS if effort in found and found[effort] != off}

    def _effort_values(self, words: tuple[str, ...], *names: str) -> Iterator[tuple[str, str]]:
        """Those of these words that an effort's variable knows: the template refuses others, or takes them for
        something else."""
        for name in names or _EFFORT_NAMES:
            if name not in self._source:
                continue
            on = self._switch.on if names and self._switch is not None else {}
            nonsense = self._try({**on, name: _NONSENSE})
            if nonsense is not None and _NONSENSE in nonsense:
                continue
            for word in words:
                text = self._try({**on, name: word})
                if text is not None and (nonsense is None or text != nonsense):
                    yield name, word

    def _try(self, values: Values, word: str = "") -> str | None:
        """What the template makes of a question; without the word itself. None where it refuses."""
        try:
            text = self._render(with_word([_QUESTION], word), values)
        except TemplateFailed:
            return None
        return text.replace(word, "") if word else text


def with_word(messages: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """`word`, if there is one, at the end of the system prompt, or as one."""
    if not word:
        return messages
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n{word}"}, *messages[1:]]
    return [{"role": "system", "content": word}, *messages]


def _states(switch: _Switch) -> Iterator[tuple[Values, str]]:
    yield switch.on, switch.words[0]
    yield switch.off, switch.words[1]
