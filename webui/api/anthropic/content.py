"""Content blocks of messages, and what the model reads of them.

One of Anthropic's messages may be several of ours: tools' results are messages of their own. Images and documents are
refused until the engine sees them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.types import Message, ToolCall

Role = Literal["user", "assistant", "system"]


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
                yield Message(role="tool", content=_result_text(block, where), tool_call_id=block.tool_use_id or "")
        kept = [block for block in self.content if block.type not in {"tool_result", "redacted_thinking"}]
        if kept or not self.content:
            yield Message(
                role=self.role,
                content="".join(block.text or "" for block in kept if block.type == "text"),
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


def _check(block: Block, where: str, role: Role) -> None:
    of_role = {"user": {"text", "tool_result"}, "assistant": {"text", "thinking", "redacted_thinking", "tool_use"}}
    if block.type in of_role.get(role, {"text"}):
        if block.type == "tool_use" and not (block.id and block.name):
            raise ParameterError(where, "A tool_use block needs its “id” and “name”.")
        if block.type == "tool_result" and not block.tool_use_id:
            raise ParameterError(where, "A tool_result block needs its “tool_use_id”.")
        return
    if block.type in {"tool_use", "tool_result", "thinking"}:
        raise ParameterError(where, f"A {role} message has no blocks of type “{block.type}”.")
    raise UnsupportedParameter(where, f"Blocks of type “{block.type}” are not understood yet. Send text only.")


def _result_text(block: Block, where: str) -> str:
    text = plain_text(block.content or "", where)
    return f"Error: {text}" if block.is_error else text


def _call(block: Block) -> ToolCall:
    arguments = json.dumps(block.input or {}, ensure_ascii=False)
    return ToolCall(id=block.id or "", name=block.name or "", arguments=arguments)
