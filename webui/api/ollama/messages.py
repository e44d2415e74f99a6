"""Messages of `/api/chat`, with tools' calls and results, as the engine takes them."""

from __future__ import annotations

from msgspec import structs
from pydantic import BaseModel, Field

from webui.api.errors import ParameterError
from webui.api.images import read_base64
from webui.api.openai.tools import CallOfMessage
from webui.store.model_values import ModelDefaults
from webui.types import Image, Message, Role, ToolCall

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class ChatMessage(BaseModel):
    role: str
    content: str | None = ""
    thinking: str | None = None
    images: list[str] | None = Field(None, description="Base64; they stand before the text")
    tool_calls: list[CallOfMessage] | None = None
    tool_name: str | None = Field(None, description="Of the tool whose result this is")
    tool_call_id: str | None = None

    def to_message(self, index: int) -> Message:
        if self.role not in _ROLES:
            raise ParameterError(f"messages.{index}.role", f"“{self.role}” is not a role.")
        calls = tuple(call.to_call() for call in self.tool_calls or ())
        return Message(
            role=_ROLES[self.role],
            content=self.content or "",
            images=read_images(self.images, f"messages.{index}.images"),
            tool_calls=tuple(
                call if call.id else structs.replace(call, id=f"call_{index}_{number}")
                for number, call in enumerate(calls)
            ),
            tool_call_id=self.tool_call_id or "",
            name=self.tool_name or "",
            reasoning=self.thinking or "",
        )


def pair_results(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Tools' results with the id and the name of their calls. Ollama's programs name the tool at the most: a result
    then belongs to the first call without one that fits."""
    paired: list[Message] = []
    open_calls: list[ToolCall] = []
    for message in messages:
        open_calls += message.tool_calls
        if message.role == "tool":
            call = next((each for each in open_calls if _is_result_of(message, each)), None)
            if call is not None:
                open_calls.remove(call)
                message = structs.replace(message, tool_call_id=call.id, name=call.name)  # noqa: PLW2901 - it, paired
        paired.append(message)
    return tuple(paired)


def _is_result_of(result: Message, call: ToolCall) -> bool:
    if result.tool_call_id:
        return result.tool_call_id == call.id
    return result.name in {"", call.name}


def read_images(images: list[str] | None, param: str) -> tuple[Image, ...]:
    """Raises ParameterError."""
    return tuple(Image(data=read_base64(each, param)) for each in images or ())


def with_system_prompt(messages: tuple[Message, ...], defaults: ModelDefaults | None) -> tuple[Message, ...]:
    """The model's own system prompt, where the messages have none."""
    if defaults is None or not defaults.system_prompt or any(each.role == "system" for each in messages):
        return messages
    return (Message(role="system", content=defaults.system_prompt), *messages)
