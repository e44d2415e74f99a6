"""What a request says of thinking, in the words of each dialect, as one value for the engine.

Whether a model can do it is for its template to say, and for the engine to find out. It knows no model.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.types import Thinking, ThinkingEffort

EffortWord = Literal["none", "off", "minimal", "low", "medium", "high", "xhigh", "max", "on"]
Budget = Annotated[int, Field(ge=0, le=2**31 - 1)]

MAX_VARIABLES = 64
_OWN_VARIABLES = frozenset({"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"})
_SWITCHES = ("enable_thinking", "thinking")
_EFFORTS = ("reasoning_effort", "thinking_effort")
_BUDGETS = ("thinking_budget", "thinking_token_budget")


def read_effort(word: str) -> Thinking:
    """One word for how much."""
    match word:
        case "none" | "off":
            return Thinking(is_on=False)
        case "on":
            return Thinking(is_on=True)
        case "max":
            return Thinking(effort="xhigh")
    return Thinking(effort=cast("ThinkingEffort", word))


class ThinkingSwitch(BaseModel):
    """On and off as Anthropic says it, and the APIs of some model makers after it."""

    type: Literal["enabled", "adaptive", "auto", "between_tools", "disabled"]
    budget_tokens: Budget | None = Field(None, description="After so many tokens of thoughts the answer begins")
    display: str | None = Field(None, description="“omitted”: thoughts are not told")

    @property
    def is_untold(self) -> bool:
        return self.display == "omitted"

    def to_thinking(self) -> Thinking:
        """A wish, since programs send it whatever the model; `adaptive` leaves it to the model."""
        if self.type == "disabled":
            return Thinking(is_on=False)
        is_on = None if self.type == "between_tools" else True
        return Thinking(is_on=is_on, budget_tokens=self.budget_tokens, is_wish=True)


class ReasoningConfig(BaseModel):
    """How OpenRouter says it."""

    model_config = ConfigDict(extra="forbid")

    effort: EffortWord | None = None
    max_tokens: Budget | None = None
    enabled: bool | None = None
    exclude: Literal[False] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = Field(None, description="Without effect")


class ThinkingFields(BaseModel):
    """What a request in OpenAI's manner may say: in OpenAI's own word, and in those of servers that speak it."""

    reasoning_effort: EffortWord | None = Field(None, description="none switches thinking off")
    reasoning: EffortWord | ReasoningConfig | None = Field(None, description="As LM Studio or OpenRouter have it")
    thinking: ThinkingSwitch | None = None
    enable_thinking: bool | None = None
    thinking_budget_tokens: Budget | None = Field(None, description="Then the answer begins; also:")
    reasoning_budget_tokens: Budget | None = None
    thinking_token_budget: Budget | None = None
    chat_template_kwargs: Annotated[dict[str, Any], Field(max_length=MAX_VARIABLES)] | None = Field(
        None, description="enable_thinking, reasoning_effort, …; others are the template's variables"
    )

    def to_thinking(self) -> Thinking:
        """Raises ParameterError where two of them contradict each other."""
        told = [read_effort(self.reasoning_effort)] if self.reasoning_effort is not None else []
        if isinstance(self.reasoning, str):
            told.append(read_effort(self.reasoning))
        elif self.reasoning is not None:
            told.append(Thinking(is_on=self.reasoning.enabled, budget_tokens=self.reasoning.max_tokens))
            told += [read_effort(self.reasoning.effort)] if self.reasoning.effort is not None else []
        if self.thinking is not None:
            if self.thinking.is_untold:
                raise UnsupportedParameter("thinking.display", "Thoughts come in reasoning_content. Leave it unread.")
            told.append(self.thinking.to_thinking())
        told.append(Thinking(is_on=self.enable_thinking, is_wish=True))
        budgets = (self.thinking_budget_tokens, self.reasoning_budget_tokens, self.thinking_token_budget)
        told += [Thinking(budget_tokens=budget, is_wish=True) for budget in budgets if budget is not None]
        told.append(_read_variables(self.chat_template_kwargs or {}))
        return _joined(told)

    def to_template_values(self) -> str:
        """The rest of the template's variables, as JSON. Raises ParameterError."""
        rest = {}
        for name, value in (self.chat_template_kwargs or {}).items():
            if name in _OWN_VARIABLES:
                raise ParameterError("chat_template_kwargs", f"“{name}” is the server's own to set. Leave it out.")
            if name not in {*_SWITCHES, *_BUDGETS, *_EFFORTS} or not _is_understood(name, value):
                rest[name] = value
        return json.dumps(rest)


def _is_understood(name: str, value: object) -> bool:
    if name in _SWITCHES:
        return isinstance(value, bool)
    if name in _EFFORTS:
        return value in EffortWord.__args__  # type: ignore[attr-defined]
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_variables(values: dict[str, Any]) -> Thinking:
    """What a template's variables say of thinking: a wish, since a template leaves out what it does not know."""
    told = [Thinking(is_on=values[name]) for name in _SWITCHES if _is_understood(name, values.get(name))]
    told += [read_effort(values[name]) for name in _EFFORTS if _is_understood(name, values.get(name))]
    told += [Thinking(budget_tokens=values[name]) for name in _BUDGETS if _is_understood(name, values.get(name))]
    return msgspec.structs.replace(_joined(told), is_wish=True)


def _joined(told: list[Thinking]) -> Thinking:
    """All of it in one; only what is a wish everywhere stays one."""
    said = [each for each in told if each != Thinking(is_wish=each.is_wish)]
    switches = {each.is_on for each in said if each.is_on is not None}
    switches |= {True for each in said if each.effort is not None}
    if len(switches) > 1:
        raise ParameterError("reasoning_effort", "The request asks for thinking, and for none. Say one of the two.")
    budgets = [each.budget_tokens for each in said if each.budget_tokens is not None]
    return Thinking(
        is_on=next(iter(switches), None),
        effort=next((each.effort for each in said if each.effort is not None), None),
        budget_tokens=min(budgets, default=None),
        is_wish=bool(said) and all(each.is_wish for each in said),
    )


def refuse_raw(thinking: Thinking, param: str) -> None:
    """For prompts that are read as they are. Raises UnsupportedParameter."""
    if thinking.is_on or thinking.effort is not None:
        raise UnsupportedParameter(param, "A raw prompt is read as it is: write into it what makes the model think.")
