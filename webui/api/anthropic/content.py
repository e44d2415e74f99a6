"""Content blocks of messages, and what the model reads of them.

One of Anthropic's messages may be several of ours: tools' results are messages of their own. Documents are refused: the
engine sees images and text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.images import MessageContent, read_base64, read_image_url
from webui.types import Message, ToolCall

Role = Literal["user", "assistant", "system"]


class ImageSource(BaseModel):
    """Base64 in `data`, or a data URL in `url`."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(BaseModel):
    """A block of any type: the fields of those that are understood."""

    type: str
    text: str | None = None
    thinking: str | None = Field(None, description="Of an earlier answer, as it was given out")
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | None = Field(None, description="Of a tool's result")
    is_error: bool | None = None
    source: ImageSource | None = Field(None, description="Of an image")


class MessageParam(BaseModel):
    role: Role
    content: str | list[Block]

    def to_messages(self, index: int) -> Iterator[Message]:
        """Ours, in their order. Raises ParameterError."""
        where = f"messages.{index}.content"
        if isinstance(self.content, str):
            yield Message(role=self.role, content=self.content)
            return
        for block in self.content:
            _check(block, where, self.role)
            if block.type == "tool_result":
                yield _result(block, where)
        kept = [block for block in self.content if block.type not in {"tool_result", "redacted_thinking"}]
        if kept or not self.content:
            content = _shown(kept, where)
            yield Message(
                role=self.role,
                content=content.text,
                images=content.images,
                reasoning="".join(block.thinking or "" for block in kept if block.type == "thinking"),
                tool_calls=tuple(_call(block) for block in kept if block.type == "tool_use"),
            )


def plain_text(content: str | list[Block], where: str) -> str:
    """The text of blocks that can only be text. Raises UnsupportedParameter."""
    if isinstance(content, str):
        return content
    for block in content:
        if block.type != "text":
            raise UnsupportedParameter(where, f"Blocks of type “{block.type}” are not understood here. Send text only.")
    return "\n".join(block.text or "" for block in content)


def _shown(blocks: list[Block], where: str, *, begin: str = "", between: str = "") -> MessageContent:
    """What of these blocks is text or an image. Raises ParameterError."""
    content = MessageContent()
    content.add_text(begin)
    is_first = True
    for block in blocks:
        if block.type == "text":
            content.add_text(f"{'' if is_first else between}{block.text or ''}")
            is_first = False
        elif block.type == "image":
            content.add_image(_read_image(block, where))
    return content


def _read_image(block: Block, where: str) -> bytes:
    source = block.source
    if source is not None and source.type == "base64" and source.data is not None:
        return read_base64(source.data, where)
    if source is not None and source.type == "url" and source.url is not None:
        return read_image_url(source.url, where)
    if source is not None and source.type not in {"base64", "url"}:
        raise UnsupportedParameter(where, f"Images of the source “{source.type}” are not understood. Send base64.")
    raise ParameterError(where, "An image block needs its “source”: the type “base64”, a media_type, and its data.")


def _check(block: Block, where: str, role: Role) -> None:
    of_role = {
        "user": {"text", "image", "tool_result"},
        "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
    }
    if block.type in of_role.get(role, {"text"}):
        if block.type == "tool_use" and not (block.id and block.name):
            raise ParameterError(where, "A tool_use block needs its “id” and “name”.")
        if block.type == "tool_result" and not block.tool_use_id:
            raise ParameterError(where, "A tool_result block needs its “tool_use_id”.")
        return
    if block.type in {"tool_use", "tool_result", "thinking", "image"}:
        raise ParameterError(where, f"A {role} message has no blocks of type “{block.type}”.")
    raise UnsupportedParameter(where, f"Blocks of type “{block.type}” are not understood yet. Send text only.")


def _result(block: Block, where: str) -> Message:
    if block.content is None or isinstance(block.content, str):
        text = f"Error: {block.content or ''}" if block.is_error else block.content or ""
        return Message(role="tool", content=text, tool_call_id=block.tool_use_id or "")
    for part in block.content:
        if part.type not in {"text", "image"}:
            raise UnsupportedParameter(
                where, f"Blocks of type “{part.type}” are not understood in a tool's result. Send text and images."
            )
    content = _shown(block.content, where, begin="Error: " if block.is_error else "", between="\n")
    return Message(role="tool", content=content.text, images=content.images, tool_call_id=block.tool_use_id or "")


def _call(block: Block) -> ToolCall:
    arguments = json.dumps(block.input or {}, ensure_ascii=False)
    return ToolCall(id=block.id or "", name=block.name or "", arguments=arguments)
