"""The bodies of `/v1/messages` and `/v1/messages/count_tokens`, and what Glasshouse makes of them.

What would change the answer and is not known here is an error; what only labels a request, or says where Anthropic may
cache or how it bills, is taken without effect.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from webui.api.anthropic.content import Block, MessageParam, plain_text
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.request import MAX_MESSAGES
from webui.api.openai.sampling import LARGEST_COUNT, MAX_STOP_STRINGS
from webui.api.openai.tools import MAX_TOOLS, name_results
from webui.api.thinking import ThinkingSwitch, read_effort
from webui.store.model_values import ModelDefaults
from webui.types import (
    GenerationRequest,
    Grammar,
    LoraAdapter,
    Message,
    Priority,
    SamplingParams,
    Thinking,
    Tool,
    ToolChoice,
)

_LABELS = frozenset({"metadata", "service_tier", "inference_geo", "speed", "diagnostics", "betas", "cache_control"})


class ToolParam(BaseModel):
    """A function that the model may call; the tools that Anthropic runs itself are refused."""

    type: str | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any] | None = Field(None, description="JSON schema of the arguments")

    def to_tool(self) -> Tool:
        if self.type not in {None, "custom"}:
            raise UnsupportedParameter("tools", f"Tools of type “{self.type}” are not here. Describe one of your own.")
        schema = self.input_schema or {"type": "object", "properties": {}}
        return Tool(name=self.name, description=self.description or "", parameters=json.dumps(schema))


class ToolChoiceParam(BaseModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    def to_choice(self) -> ToolChoice:
        is_parallel = not self.disable_parallel_tool_use
        match self.type:
            case "tool":
                return ToolChoice(mode="required", name=self.name, is_parallel=False)
            case "any":
                return ToolChoice(mode="required", is_parallel=is_parallel)
            case "none":
                return ToolChoice(mode="none")
            case "auto":
                return ToolChoice(is_parallel=is_parallel)


class OutputFormat(BaseModel):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(None, description="Of thinking that is on")


class CountRequest(BaseModel):
    """What a prompt is made of."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="A model or a preset; one that is not loaded is loaded first")
    messages: Annotated[list[MessageParam], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: str | list[Block] | None = None
    tools: Annotated[list[ToolParam], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoiceParam | None = None
    thinking: ThinkingSwitch | None = Field(None, description="Absent: as the model's template has it")
    output_config: OutputConfig | None = None

    def refuse_unknown(self) -> None:
        """Raises UnsupportedParameter for the first parameter that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if name not in _LABELS and value not in (None, [], {}):
                raise UnsupportedParameter(name, f"“{name}” is not known here. Leave it out.")

    @property
    def model_name(self) -> str | None:
        return None if self.model in {"", "default"} else self.model

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        """Raises ParameterError."""
        messages, continuation = self._conversation(defaults)
        return GenerationRequest(
            messages=messages,
            continuation=continuation,
            sampling=self.to_sampling(defaults.sampling if defaults is not None else None),
            owner=owner,
            priority=Priority.API,
            adapters=adapters,
            tools=tuple(tool.to_tool() for tool in self.tools or ()),
            tool_choice=self._choice(),
            thinking=self.to_thinking(),
        )

    @property
    def tells_thoughts(self) -> bool:
        return self.thinking is None or not self.thinking.is_untold

    def to_thinking(self) -> Thinking:
        """A model that does not think just answers, as with Ollama: programs send this whatever the model."""
        if self.thinking is None:
            return Thinking()
        asked, effort = self.thinking.to_thinking(), self.output_config.effort if self.output_config else None
        return asked if effort is None or not asked.is_on else structs.replace(asked, effort=read_effort(effort).effort)

    def to_sampling(self, defaults: SamplingParams | None) -> SamplingParams:
        return SamplingParams() if defaults is None else defaults

    def _conversation(self, defaults: ModelDefaults | None) -> tuple[tuple[Message, ...], str]:
        """The messages, and the text that the answer begins with: that of a last message by the assistant."""
        messages = [ours for index, each in enumerate(self.messages) for ours in each.to_messages(index)]
        system = plain_text(self.system or "", "system") or (defaults.system_prompt if defaults is not None else None)
        continuation = ""
        if messages and messages[-1].role == "assistant" and messages[-1].content and not messages[-1].tool_calls:
            continuation = messages.pop().content
        if not messages:
            raise ParameterError("messages", "There is no message to answer.")
        if system:
            messages.insert(0, Message(role="system", content=system))
        return name_results(tuple(messages)), continuation

    def _choice(self) -> ToolChoice:
        if self.tool_choice is None:
            return ToolChoice()
        names = {tool.name for tool in self.tools or ()}
        if self.tool_choice.type == "tool" and self.tool_choice.name not in names:
            raise ParameterError(
                "tool_choice", f"tool_choice names “{self.tool_choice.name}”, which is no tool of this."
            )
        if self.tool_choice.type == "any" and not names:
            raise ParameterError("tool_choice", "tool_choice “any” needs “tools” to choose from.")
        return self.tool_choice.to_choice()


class MessagesRequest(CountRequest):
    """A message to be written."""

    max_tokens: Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Field(max_length=MAX_STOP_STRINGS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=LARGEST_COUNT)] | None = None
    keep_alive: KeepAlive = KEEP_ALIVE

    def to_thinking(self) -> Thinking:
        asked = super().to_thinking()
        if asked.budget_tokens is not None and asked.budget_tokens >= self.max_tokens:
            raise ParameterError("thinking", "“max_tokens” must be greater than thinking's “budget_tokens”.")
        return asked

    def to_sampling(self, defaults: SamplingParams | None) -> SamplingParams:
        params = super().to_sampling(defaults)
        given = self.model_dump(include={"temperature", "top_p", "top_k"}, exclude_none=True)
        if self.stop_sequences is not None:
            given["stop"] = tuple(text for text in self.stop_sequences if text)
        if self.output_config is not None and self.output_config.format is not None:
            given["grammar"] = Grammar(kind="json_schema", source=json.dumps(self.output_config.format.schema_))
        return structs.replace(params, max_tokens=self.max_tokens, **given)
