"""Tools in a prompt: the definitions, earlier calls and results, in the way that a chat template takes them.

What a template can show is found by trying it: whether tools appear at all, whether earlier calls and results do, and
whether it wants arguments as an object or as text. What it cannot show is put into words, in the system prompt or in
the messages. It does not render anything itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from webui.engine.tool_calls.families import GENERIC, HERMES
from webui.engine.tool_calls.formats import Spelling, ToolFormat
from webui.errors import InvalidRequest, TemplateFailed
from webui.types import Message, Tool, ToolCall

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]
Guard = Callable[[str], str]

_INSTRUCTION = """You can call these tools. Each line describes one, with the JSON schema of its arguments:
{tools}

To call a tool, write its name and arguments as JSON between these tags, and nothing after them:
<tool_call>
{{"name": "the tool's name", "arguments": {{"its parameter": "value"}}}}
</tool_call>
The result comes in the next message. When no tool is needed, answer in words."""
_PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "Looks something up.",
        "parameters": {
            "type": "object",
            "properties": {"needle": {"type": "string", "description": "What to find"}},
            "required": ["needle"],
        },
    },
}
_RESULT = "straw_and_hay"
MAX_DEPTH = 100  #: of arguments and schemas


@dataclass(frozen=True)
class ToolSupport:
    """What a template can show."""

    tools: bool
    calls: bool
    results: bool
    wants_text: bool  #: arguments as JSON text, not as an object
    several: bool = True  #: all calls of a message, not only the first


class ToolTemplating:
    """How one template is given tools."""

    def __init__(self, source: str | None, form: ToolFormat, render: Render) -> None:
        self._source = source or ""
        self._form = form
        self._render = render
        self._wants_short_ids = "length != 9" in self._source or "length == 9" in self._source

    @cached_property
    def support(self) -> ToolSupport:
        """Found by rendering a few made-up conversations, once it is needed."""
        question = {"role": "user", "content": "What is in the haystack?"}
        shows_tools = "probe_tool" in self._try([question], [_PROBE_TOOL])
        for wants_text in (False, True):
            arguments: object = '{"needle": "thread"}' if wants_text else {"needle": "thread"}
            call = {"id": "callprobe", "type": "function", "function": {"name": "probe_tool", "arguments": arguments}}
            other = {**call, "id": "probecall", "function": {"name": "probe_too", "arguments": arguments}}
            asking = {"role": "assistant", "content": "", "tool_calls": [call, other]}
            result = {"role": "tool", "content": _RESULT, "tool_call_id": "callprobe", "name": "probe_tool"}
            text = self._try([question, asking, result], [_PROBE_TOOL])
            if "thread" in text and "{'needle'" not in text and '\\"needle' not in text:
                several = "probe_too" in text.replace("probe_tool", "")
                return ToolSupport(shows_tools, True, _RESULT in text, wants_text, several)
        answer = {"role": "assistant", "content": "I look."}
        result = {"role": "tool", "content": _RESULT, "tool_call_id": "callprobe", "name": "probe_tool"}
        shows_results = _RESULT in self._try([question, answer, result], [_PROBE_TOOL])
        return ToolSupport(shows_tools, calls=False, results=shows_results, wants_text=False)

    @cached_property
    def form(self) -> ToolFormat:
        """The format that the model will write: the generic one, too, when it has to be told in words."""
        if self._form.is_harmony or self.support.tools:
            return self._form
        opens = {**self._form.opens, **GENERIC.opens}
        return ToolFormat(f"{self._form.name}, told in words", opens, bare=True)

    def prepare(
        self, messages: tuple[Message, ...], tools: tuple[Tool, ...], guard: Guard, *, in_words: bool = False
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
        """Messages and tools as the template takes them; `guard` is applied to every text from outside. `in_words`:
        the template refuses these tools, so they go into the system prompt."""
        prepared: list[dict[str, Any]] = []
        for message in messages:
            self._add(prepared, message, guard)
        if any(len(message.tool_calls) > 1 for message in messages) and not self.support.several:
            prepared = split_calls(prepared)
        if not tools:
            return prepared, None
        listed = [_definition(tool, guard) for tool in tools]
        if self.support.tools and not in_words:
            return prepared, listed
        return _with_instruction(prepared, _INSTRUCTION.format(tools="\n".join(map(_as_json, listed)))), None

    # --- messages --------------------------------------------------------------------------------------------------

    def _add(self, prepared: list[dict[str, Any]], message: Message, guard: Guard) -> None:
        content = guard(message.content)
        entry: dict[str, Any] = {"role": message.role, "content": content}
        if message.role == "tool":
            if not self._shows_results:
                self._add_result_in_words(prepared, content)
                return
            entry |= {"tool_call_id": guard(self._id(message.tool_call_id)), "name": guard(message.name)}
        if message.reasoning:
            entry["reasoning_content"] = guard(message.reasoning)
            if "message.thinking" in self._source:
                entry["thinking"] = entry["reasoning_content"]
        if message.tool_calls:
            if self._shows_calls:
                entry["tool_calls"] = [self._call(call, guard) for call in message.tool_calls]
            else:
                spelled = self._spell(message.tool_calls, guard)
                entry["content"] = f"{content}\n\n{spelled}" if content else spelled
        prepared.append(entry)

    @property
    def _shows_calls(self) -> bool:
        return self.support.calls and (self.support.tools or not self._is_generic)

    @property
    def _shows_results(self) -> bool:
        return self.support.results and (self.support.tools or not self._is_generic)

    @property
    def _is_generic(self) -> bool:
        return not self._form.is_harmony and not self.support.tools

    def _call(self, call: ToolCall, guard: Guard) -> dict[str, Any]:
        arguments: object = guarded(_read(call.arguments), guard)
        if self.support.wants_text:
            arguments = _as_json(arguments)
        function = {"name": guard(call.name), "arguments": arguments}
        return {"id": guard(self._id(call.id)), "type": "function", "function": function}

    def _spell(self, calls: tuple[ToolCall, ...], guard: Guard) -> str:
        """Calls as the model itself would have written them."""
        spelling = (HERMES if self._is_generic else self.form).spelling
        written = (_spelled(spelling, guard(call.name), guarded(_read(call.arguments), guard)) for call in calls)
        return f"{spelling.first}{spelling.separator.join(written)}{spelling.last}"

    def _add_result_in_words(self, prepared: list[dict[str, Any]], content: str) -> None:
        told = f"<tool_response>\n{content}\n</tool_response>"
        last = prepared[-1] if prepared else None
        if last is not None and last["role"] == "user" and last["content"].endswith("</tool_response>"):
            last["content"] += f"\n{told}"
        else:
            prepared.append({"role": "user", "content": told})

    def _id(self, call_id: str) -> str:
        """Mistral's templates insist on nine letters or digits."""
        if not self._wants_short_ids or (len(call_id) == 9 and call_id.isalnum()):
            return call_id
        return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]

    def _try(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        try:
            return self._render(messages, tools)
        except TemplateFailed:
            return ""


def split_calls(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several calls of one message, each with its result behind it, for templates that know one call at a time."""
    results = {message["tool_call_id"]: message for message in messages if message.get("tool_call_id")}
    apart: list[dict[str, Any]] = []
    placed: set[str] = set()
    for message in messages:
        calls = message.get("tool_calls") or ()
        if message.get("tool_call_id") in placed:
            continue
        if len(calls) < 2:
            apart.append(message)
            continue
        for number, call in enumerate(calls):
            lead = message if number == 0 else {"role": "assistant", "content": ""}
            apart.append({**lead, "tool_calls": [call]})
            if call["id"] in results and call["id"] not in placed:
                apart.append(results[call["id"]])
                placed.add(call["id"])
    return apart


def _definition(tool: Tool, guard: Guard) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": _read(tool.parameters)}
    return {"type": "function", "function": guarded(function, guard)}


def _with_instruction(messages: list[dict[str, Any]], instruction: str) -> list[dict[str, Any]]:
    """The instruction behind the system prompt, or as one."""
    for at, message in enumerate(messages):
        if message["role"] == "system":
            told = {**message, "content": f"{message['content']}\n\n{instruction}"}
            return [*messages[:at], told, *messages[at + 1 :]]
    return [{"role": "system", "content": instruction}, *messages]


def _spelled(spelling: Spelling, name: str, arguments: object) -> str:
    return f"{spelling.before}{name}{spelling.between}{_as_json(arguments)}{spelling.after}"


def _read(text: str) -> Any:
    """The value of a JSON text; the text itself when it is none, since a model may have written it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def guarded(value: Any, guard: Guard, depth: int = 0) -> Any:
    """A JSON value with `guard` on its texts. Raises InvalidRequest for what is nested too deep to be rendered."""
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"Arguments, parameters or variables are nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        return guard(value)
    if isinstance(value, list):
        return [guarded(each, guard, depth + 1) for each in value]
    if isinstance(value, dict):
        return {guard(key): guarded(each, guard, depth + 1) for key, each in value.items()}
    return value


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
