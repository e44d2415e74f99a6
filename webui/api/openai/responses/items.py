"""Items of a request's `input`: checked, and in the one form in which they are kept and listed.

An item is what a conversation is made of: a message, a call, the result of a call, a thought. What only OpenAI's
servers make or run (searches, shells, images) is refused with its name. It does not know what a model reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.images import MessageContent, read_image_url
from webui.store.responses import Item

_ROLES = frozenset({"user", "system", "developer", "assistant"})
_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"})
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


class Part(BaseModel):
    """A piece of a content, of any type: the fields of those that are understood."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = Field(None, description="Of an input_image: a data URL; nothing is fetched from the net")
    detail: str | None = Field(None, description="Without effect: the model's projector knows one way to look")

    @property
    def words(self) -> str:
        return (self.refusal if self.type == "refusal" else self.text) or ""

    def to_input(self, where: str) -> dict[str, Any]:
        """As it is kept, of a message or a result. Raises ParameterError."""
        if self.type != "input_image":
            return _text_input(_words([self], where)[0])
        if self.image_url is None:
            raise UnsupportedParameter(where, "An input_image needs its “image_url”, a data URL: no files are kept.")
        read_image_url(self.image_url, where)
        return {"type": "input_image", "image_url": self.image_url, "detail": self.detail or "auto"}


class InputItem(BaseModel):
    """An item of any type: the fields of those that are understood."""

    type: str | None = Field(None, description="message (default), function_call, function_call_output, reasoning, …")
    id: str | None = Field(None, min_length=1, max_length=200)
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = Field(None, max_length=200)
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,128}$")
    arguments: str | None = None
    output: str | list[Part] | None = Field(None, description="Of a function_call_output")
    summary: list[Part] | None = None
    encrypted_content: str | None = None

    @property
    def kind(self) -> str:
        return self.type or "message"

    def to_item(self, index: int) -> Item:
        """As it is kept. Raises ParameterError."""
        where = f"input.{index}"
        match self.kind:
            case "message":
                told = self._message(where)
            case "function_call":
                told = self._call(where)
            case "function_call_output":
                told = self._result(where)
            case "reasoning":
                told = self._thoughts(where)
            case unknown:
                raise UnsupportedParameter(where, f"Items of type “{unknown[:60]}” are not understood here.")
        return {"id": self.id or new_id(_PREFIXES[self.kind]), "type": self.kind, "status": "completed"} | told

    def _message(self, where: str) -> Item:
        if self.role not in _ROLES:
            raise ParameterError(f"{where}.role", "A message needs its “role”: user, assistant, system or developer.")
        if self.content is None:
            raise ParameterError(f"{where}.content", "A message needs its “content”.")
        where = f"{where}.content"
        if self.role == "assistant":
            return {"role": "assistant", "content": [text_part(text) for text in _words(self.content, where)]}
        if isinstance(self.content, str):
            return {"role": self.role, "content": [_text_input(self.content)]}
        if self.role != "user" and any(part.type == "input_image" for part in self.content):
            raise ParameterError(where, f"A message of the role “{self.role}” has no images.")
        return {"role": self.role, "content": [part.to_input(where) for part in self.content]}

    def _call(self, where: str) -> Item:
        if not self.call_id or not self.name:
            raise ParameterError(where, "A function_call needs its “call_id” and “name”.")
        return {"call_id": self.call_id, "name": self.name, "arguments": self.arguments or "{}"}

    def _result(self, where: str) -> Item:
        if not self.call_id or self.output is None:
            raise ParameterError(where, "A function_call_output needs its “call_id” and “output”.")
        if isinstance(self.output, str):
            return {"call_id": self.call_id, "output": self.output}
        return {"call_id": self.call_id, "output": [part.to_input(f"{where}.output") for part in self.output]}

    def _thoughts(self, where: str) -> Item:
        thoughts = "".join(_words(self.content or "", f"{where}.content"))
        summary = [] if self.summary is None else _words(self.summary, f"{where}.summary")
        if self.encrypted_content and not thoughts and not summary:
            raise UnsupportedParameter(where, "These thoughts are encrypted by another server. Leave the item out.")
        return {
            "summary": [{"type": "summary_text", "text": text} for text in summary],
            "content": [{"type": "reasoning_text", "text": thoughts}] if thoughts else [],
        }


def to_items(given: str | Sequence[InputItem]) -> list[Item]:
    """Every item with an id of its own; references stay as they are. Raises ParameterError."""
    if isinstance(given, str):
        content = [_text_input(given)]
        return [{"id": new_id("msg"), "type": "message", "status": "completed", "role": "user", "content": content}]
    items = [
        reference_to(item.id or "", index) if item.kind == "item_reference" else item.to_item(index)
        for index, item in enumerate(given)
    ]
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item["id"] in seen:
            raise ParameterError(f"input.{index}.id", f"Two items have the id “{item['id'][:100]}”. Send each once.")
        seen.add(item["id"])
    return items


def reference_to(item_id: str, index: int) -> Item:
    if not item_id:
        raise ParameterError(f"input.{index}.id", "An item_reference needs the “id” of an item.")
    return {"id": item_id, "type": "item_reference"}


def text_part(text: str, logprobs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A piece of an answer's text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def content_of(parts: str | Sequence[dict[str, Any]]) -> MessageContent:
    """Text and images of a kept item, as a model gets them."""
    content = MessageContent()
    for part in [_text_input(parts)] if isinstance(parts, str) else parts:
        if part["type"] == "input_image":
            content.add_image(read_image_url(part["image_url"], "input"))
        else:
            content.add_text(part["text"])
    return content


def _text_input(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _words(content: str | list[Part], where: str) -> list[str]:
    if isinstance(content, str):
        return [content]
    for part in content:
        if part.type not in _TEXT_PARTS:
            raise UnsupportedParameter(where, f"Parts of type “{part.type[:60]}” are not understood here.")
    return [part.words for part in content]
