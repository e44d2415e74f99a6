"""From kept items to what a model reads.

What an assistant said in one go (thoughts, words, calls) is several items and one message. The same items become the
same messages every time, so that the engine goes on from what it has read before.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from webui.api.errors import ParameterError
from webui.api.openai.request import MAX_MESSAGES
from webui.api.openai.responses.items import content_of
from webui.store.responses import Item
from webui.types import Message, Role, ToolCall

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def to_messages(items: Sequence[Item], instructions: str | None) -> tuple[Message, ...]:
    """`instructions` stand before everything, and join a system message that begins the conversation: most templates
    know one. Raises ParameterError."""
    folded = _Folded()
    for item in items:
        folded.take(item)
    messages = folded.messages
    if not messages:
        raise ParameterError("input", "There is nothing to answer: “input” is empty.")
    if len(messages) > MAX_MESSAGES:
        raise ParameterError("input", f"The conversation has {len(messages)} messages; the most is {MAX_MESSAGES}.")
    if instructions and messages[0].role == "system":
        messages[0] = Message(role="system", content=f"{instructions}\n\n{messages[0].content}")
    elif instructions:
        messages.insert(0, Message(role="system", content=instructions))
    return tuple(messages)


class _Folded:
    """The messages so far; the last one is still open where it is an assistant's."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}  # of the functions that were called, by the call's id

    def take(self, item: Item) -> None:
        match item["type"]:
            case "reasoning":
                self._join(reasoning=content_of(item["content"] or item["summary"]).text)
            case "function_call":
                self._names[item["call_id"]] = item["name"]
                self._join(call=ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"]))
            case "function_call_output":
                self.messages.append(self._result(item))
            case _ if item["role"] == "assistant":
                self._join(content=content_of(item["content"]).text)
            case _:
                content = content_of(item["content"])
                self.messages.append(Message(role=_ROLES[item["role"]], content=content.text, images=content.images))

    def _join(self, *, reasoning: str = "", content: str = "", call: ToolCall | None = None) -> None:
        """Add to what the assistant is saying, or let it begin anew where this cannot be part of the same answer."""
        last = self.messages[-1] if self.messages and self.messages[-1].role == "assistant" else None
        has_said = last is not None and bool(last.content or last.tool_calls)
        if last is None or (has_said and reasoning) or (last.content and content and not last.tool_calls):
            self.messages.append(Message(role="assistant", content=""))
        last = self.messages[-1]
        self.messages[-1] = structs.replace(
            last,
            reasoning=last.reasoning + reasoning,
            content=last.content + content,
            tool_calls=last.tool_calls if call is None else (*last.tool_calls, call),
        )

    def _result(self, item: Item) -> Message:
        call_id = item["call_id"]
        if call_id not in self._names:
            raise ParameterError("input", f"No function_call with the call_id “{call_id[:100]}” stands before this.")
        output = content_of(item["output"])
        return Message(
            role="tool",
            content=output.text,
            images=output.images,
            tool_call_id=call_id,
            name=self._names[call_id],
        )
