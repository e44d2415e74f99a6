"""Tools in OpenAI's dialect, over a fake engine: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.test_openai import URL, ask
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.openai.reply import Completion
from webui.api.openai.request import ChatRequest
from webui.types import (
    Finished,
    GenerationEvent,
    Message,
    TextDelta,
    Timings,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}}
TIME = {"type": "function", "function": {"name": "get_time"}}
CALL = {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}
ASKING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_a", "content": "Rain."}
QUESTION = {"role": "user", "content": "How is Bern?"}
OFFERED = {"tools": [WEATHER, TIME]}


def generation(*messages: dict[str, Any], **more: Any) -> Any:
    return ChatRequest.model_validate({"messages": [*messages] or [QUESTION], **more}).to_generation("")


# --- what goes in ----------------------------------------------------------------------------------------------------


def test_tools_and_choices_reach_the_engine() -> None:
    asked = generation(**OFFERED)
    assert asked.tools[0] == Tool(name="get_weather", description="Weather", parameters=json.dumps(SCHEMA))
    assert json.loads(asked.tools[1].parameters)["additionalProperties"] is False, "a tool without parameters has none"
    assert asked.tool_choice == ToolChoice()
    assert generation(**OFFERED, tool_choice="required").tool_choice == ToolChoice(mode="required")
    assert generation(**OFFERED, tool_choice="none", parallel_tool_calls=False).tool_choice == ToolChoice(
        mode="none", is_parallel=False
    )
    named = generation(**OFFERED, tool_choice={"type": "function", "function": {"name": "get_time"}}).tool_choice
    assert (named.name, named.is_forced, named.is_parallel) == ("get_time", True, False)


def test_calls_and_results_of_earlier_turns_reach_the_engine() -> None:
    asked = generation(QUESTION, {**ASKING, "reasoning_content": "Hm."}, RESULT, **OFFERED)
    assert asked.messages[1:] == (
        Message(
            role="assistant",
            content="",
            reasoning="Hm.",
            tool_calls=(ToolCall(id="call_a", name="get_weather", arguments='{"city": "Bern"}'),),
        ),
        Message(role="tool", content="Rain.", tool_call_id="call_a", name="get_weather"),
    )


@pytest.mark.parametrize(
    ("messages", "more", "param"),
    [
        ([QUESTION], {"tool_choice": "required"}, "tool_choice"),
        ([QUESTION], {**OFFERED, "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "tool_choice"),
        ([QUESTION], {"tools": [WEATHER, WEATHER]}, "tools"),
        ([QUESTION], {"tools": [{"type": "function"}]}, "tools.0.function"),
        ([QUESTION, RESULT], OFFERED, "messages.1.tool_call_id"),
        ([QUESTION, ASKING, {**RESULT, "tool_call_id": "call_z"}], OFFERED, "messages.2.tool_call_id"),
        ([{**QUESTION, "tool_calls": [CALL]}], OFFERED, "messages.0.tool_calls"),
        ([QUESTION, {**ASKING, "content": "So"}], {"continue_final_message": True}, "continue_final_message"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    messages: list[dict[str, Any]], more: dict[str, Any], param: str
) -> None:
    with pytest.raises(ParameterError) as refusal:
        generation(*messages, **more)
    assert refusal.value.details["param"] == param


def test_tools_that_a_server_would_run_are_not_ours() -> None:
    with pytest.raises(UnsupportedParameter, match="web_search"):
        generation(tools=[{"type": "web_search"}])


@pytest.mark.parametrize("name", ["", "a b", "x" * 200, 'a"b'])
async def test_a_name_that_is_none_is_a_400(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post(URL, json=ask("hi", tools=[{"type": "function", "function": {"name": name}}]))
    assert response.status_code == 400
    assert "tools" in response.json()["error"]["param"]


# --- what comes out --------------------------------------------------------------------------------------------------

DELTAS = (
    TextDelta(text="I look."),
    ToolCallDelta(index=0, id="call_a", name="get_weather"),
    ToolCallDelta(index=0, arguments='{"city":"Be'),
    ToolCallDelta(index=0, arguments='rn"}'),
    ToolCallDelta(index=1, id="call_b", name="get_time", arguments="{}"),
)
FINISHED = Finished(
    reason="tool_calls",
    usage=Usage(prompt_tokens=9, cached_tokens=0, completion_tokens=5),
    timings=Timings(queued_seconds=0.0, first_token_seconds=0.0, total_seconds=0.1, tokens_per_second=50.0),
    notes=("Call 2 was mended.",),
)


async def collect(*events: GenerationEvent) -> dict[str, Any]:
    async def numbered() -> AsyncIterator[tuple[int, GenerationEvent]]:
        for event in (*events, FINISHED):
            yield 0, event

    choice: dict[str, Any] = (await Completion("m").collect(numbered()))["choices"][0]
    return choice


async def test_a_whole_answer_has_its_calls() -> None:
    choice = await collect(*DELTAS)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "I look.")
    assert choice["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
    ]
    assert choice["notes"] == ["Call 2 was mended."]
    assert (await collect(*DELTAS[1:]))["message"]["content"] is None


async def test_an_answer_without_calls_has_none(client: httpx.AsyncClient) -> None:
    choice = (await client.post(URL, json=ask("hi", **OFFERED))).json()["choices"][0]
    assert "tool_calls" not in choice["message"]
    assert "notes" not in choice


def test_calls_stream_piece_by_piece_as_openais_do() -> None:
    completion = Completion("m")
    chunks = [completion.event_chunk(0, event) for event in (*DELTAS, FINISHED)]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk is not None]
    assert deltas == [
        {"content": "I look."},
        {"tool_calls": [{"index": 0, "id": "call_a", "type": "function",
                         "function": {"name": "get_weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":"Be'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'rn"}'}}]},
        {"tool_calls": [{"index": 1, "id": "call_b", "type": "function",
                         "function": {"name": "get_time", "arguments": "{}"}}]},
        {},
    ]  # fmt: skip
    last = chunks[-1]
    assert last is not None
    assert (last["choices"][0]["finish_reason"], last["choices"][0]["notes"]) == ("tool_calls", ["Call 2 was mended."])
