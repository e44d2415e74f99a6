"""`functions` and `function_call`: asked in the old words, answered in the old shape."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion

from tests.api.test_ollama import asked_of
from tests.api.test_openai import URL, ask, read_frames
from tests.api.test_openai_tools import QUESTION, SCHEMA, WEATHER, generation
from webui.api.errors import ParameterError
from webui.core.application import Application
from webui.types import Message, ToolCall, ToolChoice

FUNCTION = {"name": "weather", "parameters": SCHEMA}
CALL = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Bern"}'}}
RESULT = {"role": "function", "name": "weather", "content": "Rain."}


def test_functions_are_tools_to_the_engine() -> None:
    asked = generation(functions=[FUNCTION])
    assert [tool.name for tool in asked.tools] == ["weather"]
    assert asked.tool_choice == ToolChoice(is_parallel=False), "an answer had one call then"
    assert generation(functions=[FUNCTION], function_call="none").tool_choice.mode == "none"
    named = generation(functions=[FUNCTION], function_call={"name": "weather"}).tool_choice
    assert (named.name, named.is_forced) == ("weather", True)


def test_calls_and_results_of_earlier_turns_reach_the_engine() -> None:
    asked = generation(QUESTION, CALL, RESULT, functions=[FUNCTION])
    call = ToolCall(id="function_1", name="weather", arguments='{"city": "Bern"}')
    assert asked.messages[1:] == (
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="Rain.", tool_call_id="function_1", name="weather"),
    )


@pytest.mark.parametrize(
    ("messages", "more", "param"),
    [
        ([QUESTION], {"functions": [FUNCTION], "tools": [WEATHER]}, "functions"),
        ([QUESTION], {"functions": [FUNCTION], "tool_choice": "auto"}, "functions"),
        ([QUESTION], {"functions": [FUNCTION], "function_call": {"name": "fly"}}, "tool_choice"),
        ([QUESTION], {"function_call": {"name": "fly"}}, "tool_choice"),
        ([QUESTION, RESULT], {"functions": [FUNCTION]}, "messages.1.name"),
        ([{**QUESTION, "function_call": CALL["function_call"]}], {}, "messages.0.tool_calls"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    messages: list[dict[str, Any]], more: dict[str, Any], param: str
) -> None:
    with pytest.raises(ParameterError) as refusal:
        generation(*messages, **more)
    assert refusal.value.details["param"] == param


async def test_a_call_is_told_in_the_old_shape(client: httpx.AsyncClient, application: Application) -> None:
    choice = (await client.post(URL, json=ask("call", functions=[FUNCTION]))).json()["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert "tool_calls" not in choice["message"]
    assert asked_of(application).tools[0].name == "weather"


async def test_so_it_is_in_a_stream(client: httpx.AsyncClient) -> None:
    body = ask("call", functions=[FUNCTION], stream=True)
    chunks = [frame["choices"][0] for frame in read_frames((await client.post(URL, json=body)).text)]
    deltas = [call for chunk in chunks if (call := chunk["delta"].get("function_call"))]
    assert deltas == [{"name": "weather", "arguments": '{"city": '}, {"arguments": '"Oslo"}'}]
    assert chunks[-1]["finish_reason"] == "function_call"


async def test_the_official_client_reads_it(client: httpx.AsyncClient) -> None:
    reply = (await client.post(URL, json=ask("call", functions=[FUNCTION]))).json()
    call = ChatCompletion.model_validate(reply).choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments) == ("weather", '{"city": "Oslo"}')
