"""The bodies of `/api/chat` and `/api/generate`, and what Glasshouse makes of them.

What would change the answer and is not known here is an error, never ignored in silence.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.ollama.messages import ChatMessage, pair_results, read_images, with_system_prompt
from webui.api.ollama.names import plain_name
from webui.api.ollama.options import Options
from webui.api.openai.request import MAX_MESSAGES
from webui.api.openai.sampling import MAX_TOP_LOGPROBS
from webui.api.openai.tools import ToolFields
from webui.api.thinking import read_effort, refuse_raw
from webui.store.model_values import ModelDefaults
from webui.types import (
    Gap,
    GenerationRequest,
    Grammar,
    LoraAdapter,
    Message,
    OverflowPolicy,
    Priority,
    SamplingParams,
    Thinking,
)


class AnswerBody(BaseModel):
    """What both requests have."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="A model or a preset; one that is not loaded is loaded first")
    stream: bool | None = Field(None, description="Lines of JSON, unless it is false")
    format: Literal["", "json"] | dict[str, Any] | None = Field(None, description="“json”, or a JSON schema")
    options: Options | None = None
    keep_alive: KeepAlive = KEEP_ALIVE
    think: bool | Literal["", "low", "medium", "high", "max"] | None = Field(
        None, description="Whether and how much the model thinks before it answers; absent: as its template has it"
    )
    truncate: bool | None = Field(None, description="Leave out the oldest turns of what is too long; else an error")
    shift: bool | None = Field(None, description="Forget the oldest tokens while writing")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    def refuse_unknown(self) -> None:
        """Raises UnsupportedParameter for the first parameter that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if value not in (None, "", [], {}):
                raise UnsupportedParameter(name, f"“{name}” is not known here. Leave it out.")
        if self.options is not None:
            self.options.refuse_unknown()

    @property
    def model_name(self) -> str:
        return plain_name(self.model)

    @property
    def is_streamed(self) -> bool:
        return self.stream is not False

    def base_request(
        self,
        messages: tuple[Message, ...],
        owner: str,
        adapters: tuple[LoraAdapter, ...],
        sampling: SamplingParams | None,
    ) -> GenerationRequest:
        overflow: OverflowPolicy = "shift" if self.shift else "drop_oldest" if self.truncate else "error"
        return GenerationRequest(
            messages=messages,
            sampling=self._sampling(sampling),
            overflow=overflow,
            owner=owner,
            priority=Priority.API,
            adapters=adapters,
            thinking=self._thinking(),
        )

    def _thinking(self) -> Thinking:
        if isinstance(self.think, str) and self.think:
            return read_effort(self.think)
        return Thinking(is_on=self.think if isinstance(self.think, bool) else None)

    def _sampling(self, defaults: SamplingParams | None) -> SamplingParams:
        params = (self.options or Options.model_validate({})).to_params(defaults)
        if self.top_logprobs and not self.logprobs:
            raise ParameterError("top_logprobs", "top_logprobs needs “logprobs”: true.")
        if self.logprobs:
            params = structs.replace(params, logprobs=self.top_logprobs or 0)
        if not self.format:
            return params
        if params.grammar is not None:
            raise ParameterError("format", "An answer has one form: give either format or one in the options.")
        form = Grammar(kind="json_object")
        if isinstance(self.format, dict):
            form = Grammar(kind="json_schema", source=json.dumps(self.format))
        return structs.replace(params, grammar=form)


class ChatRequest(ToolFields, AnswerBody):
    """`/api/chat`. Without messages the model is only loaded, or with `keep_alive` 0 unloaded."""

    messages: Annotated[list[ChatMessage], Field(max_length=MAX_MESSAGES)] | None = None

    @property
    def is_empty(self) -> bool:
        return not self.messages

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        messages = tuple(each.to_message(index) for index, each in enumerate(self.messages or ()))
        messages = with_system_prompt(pair_results(messages), defaults)
        request = self.base_request(messages, owner, adapters, defaults.sampling if defaults else None)
        return structs.replace(request, tools=self.to_tools(), tool_choice=self.to_tool_choice())


class GenerateRequest(AnswerBody):
    """`/api/generate`. Without a prompt the model is only loaded, or with `keep_alive` 0 unloaded."""

    prompt: str | None = ""
    system: str | None = None
    raw: bool | None = Field(None, description="The prompt is read as it is, without the chat template")
    suffix: str | None = Field(None, description="What comes behind the gap, for models that can fill it in")
    images: list[str] | None = Field(None, description="Base64; they stand before the prompt")

    @property
    def is_empty(self) -> bool:
        return not self.prompt and not self.suffix

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        images = read_images(self.images, "images")
        sampling = defaults.sampling if defaults else None
        if self.suffix:
            if self.system or images:
                raise ParameterError("suffix", "A gap is filled from “prompt” and “suffix” alone.")
            refuse_raw(self._thinking(), "think")
            gap = Gap(prefix=self.prompt or "", suffix=self.suffix)
            return structs.replace(self.base_request((), owner, adapters, sampling), gap=gap)
        if self.raw:
            refuse_raw(self._thinking(), "think")
            if self.system:
                raise ParameterError("system", "A raw prompt is read as it is: write the system prompt into it.")
            if images:
                raise UnsupportedParameter("images", "A raw prompt has no images. Leave “raw” out, or the images.")
            return structs.replace(self.base_request((), owner, adapters, sampling), prompt=self.prompt or "")
        messages: tuple[Message, ...] = (Message(role="user", content=self.prompt or "", images=images),)
        if self.system:
            messages = (Message(role="system", content=self.system), *messages)
        return self.base_request(with_system_prompt(messages, defaults), owner, adapters, sampling)
