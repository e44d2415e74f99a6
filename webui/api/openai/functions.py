"""`functions` and `function_call`, as OpenAI had tools before: asked in the old words, answered in the old shape.

They are tools in every other respect. It does not know how a model writes a call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from msgspec import structs
from pydantic import Field

from webui.api.errors import ParameterError
from webui.api.openai.respond import Words
from webui.api.openai.tools import (
    MAX_TOOLS,
    CalledFunction,
    CallOfMessage,
    FunctionDefinition,
    NamedFunction,
    NamedToolChoice,
    ToolDefinition,
    ToolFields,
)
from webui.types import GenerationEvent, Message, Tool, ToolCall, ToolChoice


class FunctionFields(ToolFields):
    """What a request says of tools, in the new words or the old ones."""

    functions: Annotated[list[FunctionDefinition], Field(max_length=MAX_TOOLS)] | None = Field(
        None, description="What “tools” was before; the answer then has “function_call”"
    )
    function_call: Literal["none", "auto"] | NamedFunction | None = Field(None, description="With “functions”")

    @property
    def has_functions(self) -> bool:
        return bool(self.functions) or isinstance(self.function_call, NamedFunction)

    def to_tools(self) -> tuple[Tool, ...]:
        return self._as_tools().to_tools() if self.has_functions else super().to_tools()

    def to_tool_choice(self) -> ToolChoice:
        return self._as_tools().to_tool_choice() if self.has_functions else super().to_tool_choice()

    def _as_tools(self) -> ToolFields:
        """The same in the new words; an answer has one call then. Raises ParameterError for a mixture."""
        if self.tools or self.tool_choice is not None:
            raise ParameterError("functions", "A request has either “tools” or the older “functions”, not both.")
        choice: Any = self.function_call
        if isinstance(choice, NamedFunction):
            choice = NamedToolChoice(function=choice)
        tools = [ToolDefinition(function=function) for function in self.functions or ()]
        return ToolFields(tools=tools, tool_choice=choice, parallel_tool_calls=False)


def old_call(function: CalledFunction, index: int) -> ToolCall:
    """The call of a message that has none by the name of `tool_calls`; such calls have no id."""
    return CallOfMessage(id=f"function_{index}", function=function).to_call()


def pair_functions(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Results of functions with the id of the latest call of that name. Raises ParameterError where there is none."""
    ids: dict[str, str] = {}
    paired: list[Message] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and message.name:
            if message.name not in ids:
                raise ParameterError(f"messages.{index}.name", "A function's result has to name one that was called.")
            message = structs.replace(message, tool_call_id=ids[message.name])  # noqa: PLW2901 - it, paired
        ids |= {call.name: call.id for call in message.tool_calls}
        paired.append(message)
    return tuple(paired)


class FunctionWords:
    """A completion whose call is told in the old shape."""

    def __init__(self, words: Words) -> None:
        self._words = words

    @property
    def num_choices(self) -> int:
        return self._words.num_choices

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        return _in_old_shape(await self._words.collect(events), "message")

    def first_chunk(self, index: int) -> dict[str, Any] | None:
        return self._words.first_chunk(index)

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        chunk = self._words.event_chunk(index, event)
        return None if chunk is None else _in_old_shape(chunk, "delta")

    def usage_chunk(self) -> dict[str, Any]:
        return self._words.usage_chunk()


def _in_old_shape(answer: dict[str, Any], key: Literal["message", "delta"]) -> dict[str, Any]:
    for choice in answer["choices"]:
        said = choice[key]
        if calls := said.pop("tool_calls", None):
            said["function_call"] = calls[0]["function"]
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "function_call"
    return answer
