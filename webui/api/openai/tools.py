"""Tools in OpenAI's words: what a request offers, what it wants called, and calls and results of earlier turns.

Only functions are tools here; what a server of OpenAI's would run itself is refused. It does not know how a model
writes a call.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from msgspec import structs
from pydantic import BaseModel, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.types import Message, Tool, ToolCall, ToolChoice

MAX_TOOLS = 128
_NAME = r"^[A-Za-z0-9_.:-]{1,128}$"


class FunctionDefinition(BaseModel):
    name: Annotated[str, Field(pattern=_NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="The JSON schema of the arguments; absent: none")
    strict: bool | None = Field(None, description="Calls that are required keep to the schema in any case")


class ToolDefinition(BaseModel):
    """A function that the model may ask for."""

    type: str = "function"
    function: FunctionDefinition | None = None

    def to_tool(self, index: int) -> Tool:
        if self.type != "function":
            raise UnsupportedParameter("tools", f"Tools of type “{self.type}” are not supported: describe a function.")
        if self.function is None:
            raise ParameterError(f"tools.{index}.function", "A tool of type “function” needs its “function”.")
        parameters = self.function.parameters or {"type": "object", "properties": {}, "additionalProperties": False}
        return Tool(
            name=self.function.name,
            description=self.function.description or "",
            parameters=json.dumps(parameters, ensure_ascii=False),
        )


class NamedFunction(BaseModel):
    name: str


class NamedToolChoice(BaseModel):
    """This tool is to be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


class ToolFields(BaseModel):
    """What a request says of tools."""

    tools: Annotated[list[ToolDefinition], Field(max_length=MAX_TOOLS)] | None = Field(
        None, description="Functions that the model may call; what it wants is in the answer's `tool_calls`"
    )
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = Field(
        None, description="auto (default), none, required, or the one to call: then the call keeps to its schema"
    )
    parallel_tool_calls: bool | None = Field(None, description="False: at most one call in an answer")

    def to_tools(self) -> tuple[Tool, ...]:
        """Raises ParameterError."""
        tools = tuple(definition.to_tool(index) for index, definition in enumerate(self.tools or ()))
        names = [tool.name for tool in tools]
        for name in names:
            if names.count(name) > 1:
                raise ParameterError("tools", f"Two tools have the name “{name}”. Give each its own.")
        return tools

    def to_tool_choice(self) -> ToolChoice:
        """Raises ParameterError for a tool that is not among those offered."""
        is_parallel = self.parallel_tool_calls is not False
        if self.tool_choice is None or isinstance(self.tool_choice, str):
            mode = self.tool_choice or "auto"
            if mode == "required" and not self.tools:
                raise ParameterError("tool_choice", "tool_choice “required” needs “tools” to choose from.")
            return ToolChoice(mode=mode, is_parallel=is_parallel)
        name = self.tool_choice.function.name
        if name not in {tool.function.name for tool in self.tools or () if tool.function is not None}:
            raise ParameterError("tool_choice", f"tool_choice names “{name}”, which is not among the “tools”.")
        return ToolChoice(mode="required", name=name, is_parallel=False)


class CalledFunction(BaseModel):
    name: Annotated[str, Field(pattern=_NAME)]
    arguments: str | dict[str, Any] = "{}"


class CallOfMessage(BaseModel):
    """A call of an earlier answer, as it was given out."""

    id: str = ""
    type: str = "function"
    function: CalledFunction

    def to_call(self) -> ToolCall:
        given = self.function.arguments
        text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        return ToolCall(id=self.id, name=self.function.name, arguments=text or "{}")


def name_results(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Every tool's result with the name of the tool. Raises ParameterError for one that belongs to no call."""
    names: dict[str, str] = {}
    named: list[Message] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in names:
                raise ParameterError(
                    f"messages.{index}.tool_call_id",
                    "A tool's result has to name a call of an assistant's message before it, by “tool_call_id”.",
                )
            message = structs.replace(message, name=names[message.tool_call_id])  # noqa: PLW2901 - the same, named
        names |= {call.id: call.name for call in message.tool_calls}
        named.append(message)
    return tuple(named)
