"""The bodies of `/v1/responses` and `/v1/responses/input_tokens`, and what Glasshouse makes of them.

A parameter that would change the answer and is not known here is an error, never ignored in silence. What only labels
a request, or says how OpenAI bills and caches, is taken and has no effect.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.request import MAX_MESSAGES
from webui.api.openai.responses.conversation import to_messages
from webui.api.openai.responses.items import InputItem
from webui.api.openai.responses.tools import ToolsOfRequest, check_json
from webui.api.openai.sampling import MAX_TOP_LOGPROBS, Positive, SamplerFields
from webui.api.thinking import read_effort
from webui.store.model_values import ModelDefaults
from webui.store.responses import Item
from webui.types import GenerationRequest, Grammar, LoraAdapter, Message, Priority, SamplingParams, Thinking

_LABELS = frozenset({"user", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_retention"})
_LOGPROBS = "message.output_text.logprobs"

Label = Annotated[str, Field(max_length=64)]
LabelValue = Annotated[str, Field(max_length=512)]
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


class TextFormat(BaseModel):
    """The form that the answer must have."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    name: str = "response"
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = Field(None, description="The schema is kept to in any case")

    def to_grammar(self) -> Grammar | None:
        if self.type == "json_schema":
            if self.schema_ is None:
                raise ParameterError("text.format.schema", "The format “json_schema” needs its “schema”.")
            check_json(self.schema_, "text.format.schema")
            return Grammar(kind="json_schema", source=json.dumps(self.schema_))
        return Grammar(kind="json_object") if self.type == "json_object" else None


class TextConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = Field(None, description="Models here know no verbosity")


class ReasoningConfig(BaseModel):
    """How much a model thinks. Thoughts are told as they are; summaries of them are not made."""

    model_config = ConfigDict(extra="forbid")

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = Field(None, description="Without effect")
    generate_summary: Literal["auto", "concise", "detailed"] | None = Field(None, description="Without effect")
    context: Literal["auto"] | None = Field(None, description="Which thoughts are seen again is the template's to say")
    mode: Literal["standard"] | None = None

    def to_thinking(self) -> Thinking:
        return Thinking() if self.effort is None else read_effort(self.effort)


class CacheOptions(BaseModel):
    """Where OpenAI may cache. Here every prompt is."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_obfuscation: Literal[False] | None = None


class CountRequest(ToolsOfRequest):
    """What a prompt is made of."""

    model_config = ConfigDict(extra="allow")

    model: str | None = Field(None, description="A model of GET /v1/models; absent or “default”: the current one")
    input: str | Annotated[list[InputItem], Field(max_length=MAX_MESSAGES)] | None = None
    instructions: str | None = Field(None, description="A system message before everything, for this response only")
    previous_response_id: str | None = Field(None, description="Go on from this response, which was stored")
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="auto: leave out the oldest turns of a conversation that outgrew the context"
    )

    def refuse_unsupported(self) -> None:
        """Raises ParameterError for the first thing that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if value not in (None, [], {}) and name not in _LABELS:
                raise UnsupportedParameter(name, f"“{name}” is not supported here. Leave it out.")

    @property
    def model_name(self) -> str | None:
        """None for "whatever is loaded or chosen"."""
        return None if self.model in {None, "", "default"} else self.model

    @property
    def given_input(self) -> str | Sequence[InputItem]:
        return [] if self.input is None else self.input

    def to_sampling(self, defaults: SamplingParams | None) -> SamplingParams:
        return SamplingParams() if defaults is None else defaults


class ResponseRequest(SamplerFields, CountRequest):
    """A response to be made. Null means "not given"."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"input": "Name three birds."}]})

    input: str | Annotated[list[InputItem], Field(max_length=MAX_MESSAGES)]
    max_output_tokens: Positive | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    include: list[Includable] | None = None
    metadata: Annotated[dict[Label, LabelValue], Field(max_length=16)] | None = None
    store: bool | None = Field(None, description="True (default): it can be read, and gone on from, later")
    background: bool | None = Field(None, description="Answer at once, and write on when the client is gone")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tool_calls: int | None = Field(None, description="Without effect: no tools are run here")
    prompt_cache_options: CacheOptions | None = Field(None, description="Without effect")
    keep_alive: KeepAlive = KEEP_ALIVE

    @property
    def is_stored(self) -> bool:
        return self.store is not False

    def refuse_unsupported(self) -> None:
        super().refuse_unsupported()
        if self.background and not self.is_stored:
            raise ParameterError("background", "A response in the background is stored: leave “store” out, or true.")

    def to_sampling(self, defaults: SamplingParams | None) -> SamplingParams:
        """Raises ParameterError."""
        wants_logprobs = _LOGPROBS in (self.include or ()) or self.top_logprobs
        format_ = self.text.format if self.text is not None else None
        return self.fill_params(
            defaults,
            max_tokens=self.max_output_tokens,
            logprobs=(self.top_logprobs or 0) if wants_logprobs else None,
            form=format_.to_grammar() if format_ is not None else None,
        )

    def told(self) -> dict[str, Any]:
        """What a response repeats of its request."""
        format_ = self.text.format if self.text is not None else None
        effort = self.reasoning.effort if self.reasoning is not None else None
        return self.tools_told() | {
            "background": bool(self.background),
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "metadata": self.metadata or {},
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": effort, "summary": None},
            "store": self.is_stored,
            "text": {"format": {"type": "text"} if format_ is None else format_.model_dump(by_alias=True)},
            "top_logprobs": self.top_logprobs or 0,
            "truncation": self.truncation or "disabled",
        }


class Prompt:
    """A request and everything that was said before it, on its way to whoever answers."""

    def __init__(self, body: CountRequest, items: Sequence[Item]) -> None:
        """`items`: the history and the request's own. Raises ParameterError."""
        self._body = body
        self._messages = to_messages(items, body.instructions)
        self.sampling = SamplingParams()  #: as asked of whoever answers

    @property
    def model_name(self) -> str | None:
        return self._body.model_name

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        """Raises ParameterError."""
        body, messages = self._body, self._messages
        if defaults is not None and defaults.system_prompt and not any(each.role == "system" for each in messages):
            messages = (Message(role="system", content=defaults.system_prompt), *messages)
        self.sampling = body.to_sampling(defaults.sampling if defaults is not None else None)
        return GenerationRequest(
            messages=messages,
            overflow="drop_oldest" if body.truncation == "auto" else "error",
            sampling=self.sampling,
            owner=owner,
            priority=Priority.API,
            adapters=adapters,
            tools=body.to_tools(),
            tool_choice=body.to_tool_choice(),
            thinking=Thinking() if body.reasoning is None else body.reasoning.to_thinking(),
        )
