"""The body of `POST /v1/chat/completions`, and what Glasshouse makes of it.

A parameter that would change the answer and is not known here is an error, never ignored in silence. What only labels
a request (`user`, `metadata`, …) is taken and has no effect.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from webui.api.adapters import LoraChoice
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.images import MessageContent, read_image_url
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.functions import FunctionFields, old_call, pair_functions
from webui.api.openai.sampling import SamplingFields
from webui.api.openai.tools import CalledFunction, CallOfMessage, name_results
from webui.api.thinking import ThinkingFields
from webui.core.adapters import MAX_ADAPTERS, AdapterChoice
from webui.store.model_values import ModelDefaults
from webui.types import GenerationRequest, LoraAdapter, Message, OverflowPolicy, Priority, Role

MAX_MESSAGES = 8192  # llama.cpp's tokenizer takes quadratic time in the turns of one prompt, while everybody waits
MAX_CHOICES = 8
_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
    "function": "tool",
}  # fmt: skip
_LABELS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "modalities": (["text"],),
}


class ImageUrl(BaseModel):
    url: str = Field(description="A data URL: data:image/png;base64,…; nothing is fetched from the net")
    detail: str | None = Field(None, description="Without effect: the model's projector knows one way to look")


class ContentPart(BaseModel):
    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None


class ChatMessage(BaseModel):
    """One message. `content` is text, or parts of type `text` and `image_url`."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = Field(None, description="Taken, but not shown to the model; of a function's result: whose")
    reasoning_content: str | None = Field(None, description="An assistant's thoughts, for templates that show them")
    tool_calls: list[CallOfMessage] | None = None
    tool_call_id: str | None = Field(None, description="Of a tool's result: the call that it answers")
    function_call: CalledFunction | None = Field(None, description="A call in the old shape")

    def to_message(self, index: int) -> Message:
        where = f"messages.{index}"
        if self.role not in _ROLES:
            raise ParameterError(f"{where}.role", f"“{self.role}” is not a role: use system, user, assistant or tool.")
        if (self.tool_calls or self.function_call) and self.role != "assistant":
            raise ParameterError(f"{where}.tool_calls", "Only an assistant's message has tool calls.")
        content = self._content(where)
        calls = [call.to_call() for call in self.tool_calls or ()]
        if self.function_call is not None:
            calls.append(old_call(self.function_call, index))
        return Message(
            role=_ROLES[self.role],
            content=content.text,
            images=content.images,
            tool_calls=tuple(calls),
            tool_call_id=self.tool_call_id or "",
            name=self.name or "" if self.role == "function" else "",
            reasoning=self.reasoning_content or "" if self.role == "assistant" else "",
        )

    def _content(self, where: str) -> MessageContent:
        content, where = MessageContent(), f"{where}.content"
        if self.content is None or isinstance(self.content, str):
            content.add_text(self.content or "")
            return content
        for part in self.content:
            if part.type == "text":
                content.add_text(part.text or "")
            elif part.type != "image_url":
                raise UnsupportedParameter(where, f"Parts of type “{part.type}” are not supported yet.")
            elif self.role not in {"user", "tool"}:
                raise ParameterError(where, f"A message of the role “{self.role}” has no images.")
            else:
                url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
                content.add_image(read_image_url(url or "", where))
        return content


class StreamOptions(BaseModel):
    include_usage: bool = Field(False, description="Send one more chunk with the token counts before `[DONE]`")


class ChatBody(BaseModel):
    """The conversation, and how the answer travels."""

    model: str | None = Field(None, description="A model of GET /v1/models; absent or “default”: the current one")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None


class ChatRequest(SamplingFields, FunctionFields, ThinkingFields, ChatBody):
    """A chat completion to be made. Null means "not given"; the defaults are those of a quiet chat."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Name three birds."}]}]},
    )

    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        None, description="Answers side by side; the prompt is read once. A `seed` counts up with each"
    )
    continue_final_message: bool | None = Field(
        None, description="Go on with the last message, an assistant's, instead of beginning a new one"
    )
    add_generation_prompt: bool | None = Field(None, description="False: the same as `continue_final_message`")
    overflow: OverflowPolicy | None = Field(
        None, description="When the conversation outgrows the context: an error (default), or leave out the oldest"
    )
    keep_alive: KeepAlive = KEEP_ALIVE
    lora: Annotated[list[LoraChoice], Field(max_length=MAX_ADAPTERS)] | None = Field(
        None, description="LoRA adapters of GET /lora-adapters for this answer; absent: those of the model's defaults"
    )

    def refuse_unsupported(self) -> None:
        """Raises UnsupportedParameter for the first parameter that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if value is None or name in _LABELS or value in _WITHOUT_EFFECT.get(name, ()):
                continue
            known = name in _WITHOUT_EFFECT
            reason = f"“{name}” is not supported yet. Leave it out." if known else f"“{name}” is not known here."
            raise UnsupportedParameter(name, reason)

    @property
    def adapter_choices(self) -> list[AdapterChoice]:
        return [each.to_choice() for each in self.lora or ()]

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        """`defaults`: of the model that answers, for what the request does not say."""
        messages = tuple(message.to_message(index) for index, message in enumerate(self.messages))
        messages = name_results(pair_functions(messages))
        messages, continuation = self._split_continuation(messages)
        if defaults is not None and defaults.system_prompt and not any(each.role == "system" for each in messages):
            messages = (Message(role="system", content=defaults.system_prompt), *messages)
        return GenerationRequest(
            messages=messages,
            continuation=continuation,
            overflow=self.overflow or "error",
            sampling=self.to_sampling(defaults.sampling if defaults is not None else None),
            owner=owner,
            priority=Priority.API,
            adapters=adapters,
            tools=self.to_tools(),
            tool_choice=self.to_tool_choice(),
            thinking=self.to_thinking(),
            template_values=self.to_template_values(),
        )

    def _split_continuation(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str]:
        """The conversation, and the text that its answer begins with: empty unless the last message is to go on."""
        if not self.continue_final_message and self.add_generation_prompt is not False:
            return messages, ""
        if self.continue_final_message and self.add_generation_prompt:
            raise ParameterError("add_generation_prompt", "It contradicts continue_final_message. Send one of the two.")
        *before, last = messages
        if last.role != "assistant" or not last.content or last.tool_calls:
            name = "continue_final_message" if self.continue_final_message else "add_generation_prompt"
            raise ParameterError(name, "To go on with the last message, it has to be an assistant's with some text.")
        return tuple(before), last.content

    @property
    def model_name(self) -> str | None:
        """None for "whatever is loaded or chosen"."""
        return None if self.model in {None, "", "default"} else self.model

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage
