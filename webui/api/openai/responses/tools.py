"""Tools in the words of the Responses API: a function lies flat in its tool, and a choice may name several.

Only functions are tools here; what OpenAI's servers would run themselves is refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.openai.tools import (
    MAX_TOOLS,
    FunctionDefinition,
    NamedFunction,
    NamedToolChoice,
    ToolDefinition,
    ToolFields,
)
from webui.types import Tool, ToolChoice

_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "async": (False,),
    "defer_loading": (False,),
    "allowed_callers": ([], ["direct"]),
}


class FunctionTool(BaseModel):
    """A function that the model may ask for."""

    model_config = ConfigDict(extra="allow")

    type: str
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,128}$")
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="The JSON schema of the arguments; absent: none")
    strict: bool | None = Field(None, description="Calls that are required keep to the schema in any case")

    def to_definition(self, index: int) -> ToolDefinition:
        """In the words of chat completions. Raises ParameterError."""
        if self.type != "function":
            return ToolDefinition(type=self.type)  # refused there
        where = f"tools.{index}"
        if self.name is None:
            raise ParameterError(f"{where}.name", "A tool of type “function” needs its “name”.")
        for name, value in (self.model_extra or {}).items():
            if value is not None and value not in _WITHOUT_EFFECT.get(name, ()):
                raise UnsupportedParameter(f"{where}.{name}", f"“{name}” is not supported here. Leave it out.")
        check_json(self.parameters, f"{where}.parameters")
        function = FunctionDefinition(
            name=self.name, description=self.description, parameters=self.parameters, strict=self.strict
        )
        return ToolDefinition(function=function)

    def told(self) -> dict[str, Any]:
        """As a response repeats it."""
        return self.model_dump(include={"type", "name", "description", "parameters", "strict"})


class ChosenTool(BaseModel):
    """One tool, or those that are allowed."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[dict[str, Any]] | None = Field(None, max_length=MAX_TOOLS)


class ToolsOfRequest(BaseModel):
    """What a request says of tools."""

    tools: Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)] | None = Field(
        None, description="Functions that the model may call; what it wants is a `function_call` item of the output"
    )
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = Field(
        None, description="auto (default), none, required, the one to call, or {“type”: “allowed_tools”}"
    )
    parallel_tool_calls: bool | None = Field(None, description="False: at most one call in an answer")

    def to_tools(self) -> tuple[Tool, ...]:
        """Those that the model may call. Raises ParameterError."""
        return self._in_words_of_chat().to_tools()

    def to_tool_choice(self) -> ToolChoice:
        """Raises ParameterError."""
        return self._in_words_of_chat().to_tool_choice()

    def tools_told(self) -> dict[str, Any]:
        """As a response repeats it."""
        choice = self.tool_choice
        return {
            "tools": [tool.told() for tool in self.tools or ()],
            "tool_choice": choice.model_dump(exclude_none=True) if isinstance(choice, ChosenTool) else choice or "auto",
            "parallel_tool_calls": self.parallel_tool_calls is not False,
        }

    def _in_words_of_chat(self) -> ToolFields:
        definitions = [tool.to_definition(index) for index, tool in enumerate(self.tools or ())]
        choice: Literal["none", "auto", "required"] | NamedToolChoice | None
        match self.tool_choice:
            case ChosenTool(type="function", name=str(name)):
                choice = NamedToolChoice(function=NamedFunction(name=name))
            case ChosenTool(type="allowed_tools", mode=mode, tools=list(allowed)):
                definitions, choice = _only(definitions, allowed), mode or "auto"
            case ChosenTool(type=kind):
                raise UnsupportedParameter("tool_choice", f"A choice of the type “{kind[:60]}” is not supported.")
            case None | "none" | "auto" | "required" as mode:
                choice = mode
        return ToolFields(tools=definitions, tool_choice=choice, parallel_tool_calls=self.parallel_tool_calls)


def check_json(value: object, where: str) -> None:
    """Raises ParameterError for what cannot be written as UTF-8: JSON can hold half a character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ParameterError(where, "This holds half a character (a lone surrogate), which is no text.") from None


def _only(definitions: list[ToolDefinition], allowed: list[dict[str, Any]]) -> list[ToolDefinition]:
    """Those of the tools that are allowed, which must all be there."""
    known = {each.function.name: each for each in definitions if each.function is not None}
    names = [str(each.get("name")) for each in allowed]
    for name in names:
        if name not in known:
            raise ParameterError("tool_choice", f"tool_choice allows “{name[:128]}”, which is not among the “tools”.")
    return [known[name] for name in dict.fromkeys(names)]
