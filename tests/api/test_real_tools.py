"""Tools with OpenAI's own client, a real server and a small real model: forced calls are valid every time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import openai
import pydantic
import pytest

from tests.api.test_openai import STARTER
from tests.support.server import RunningServer

QUESTION: Any = {"role": "user", "content": "What is the weather in Bern?"}


class GetWeather(pydantic.BaseModel):
    """The weather of a place."""

    city: str = pydantic.Field(max_length=12)
    days: int = pydantic.Field(ge=1, le=7)
    unit: Literal["celsius", "fahrenheit"]


class SendNote(pydantic.BaseModel):
    """Write to somebody."""

    to: list[Literal["ann", "bob"]] = pydantic.Field(min_length=1, max_length=2)
    urgent: bool


TOOLS: Any = [openai.pydantic_function_tool(each, name=each.__name__) for each in (GetWeather, SendNote)]


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_required_calls_are_valid_every_time(client: openai.AsyncOpenAI) -> None:
    """A model that knows no tools, at a temperature at which it raves: the official stream puts the call together."""
    options: Any = {
        "model": "default", "messages": [QUESTION], "tools": TOOLS, "tool_choice": "required", "max_tokens": 120,
        "parallel_tool_calls": False, "temperature": 1.5,
    }  # fmt: skip
    for seed in range(4):
        async with client.chat.completions.stream(**options, seed=seed) as stream:
            final = await stream.get_final_completion()
        (choice,) = final.choices
        assert choice.finish_reason == "tool_calls"
        assert not choice.message.content
        assert choice.message.tool_calls is not None
        (call,) = choice.message.tool_calls
        model = {"GetWeather": GetWeather, "SendNote": SendNote}[call.function.name]
        assert isinstance(call.function.parsed_arguments, model), "pydantic has checked it against the schema"
        model.model_validate_json(call.function.arguments)


async def test_a_named_call_is_answered_and_the_conversation_goes_on(client: openai.AsyncOpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "SendNote"}}
    options: Any = {"model": "default", "tools": TOOLS, "max_tokens": 60, "temperature": 0}
    first = await client.chat.completions.create(**options, messages=[QUESTION], tool_choice=named)
    assert first.choices[0].message.tool_calls is not None
    (call,) = first.choices[0].message.tool_calls
    assert call.type == "function"
    assert set(json.loads(call.function.arguments)) == {"to", "urgent"}
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Sent."}
    messages = [QUESTION, first.choices[0].message, result]
    second = await client.chat.completions.create(**options, messages=messages, tool_choice="none")
    assert second.choices[0].message.content
    assert second.choices[0].finish_reason in {"stop", "length"}
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.prompt_tokens > 20


async def test_tools_that_cannot_be_forced_are_the_clients_own_error(client: openai.AsyncOpenAI) -> None:
    odd: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "nullable": True}}}]
    with pytest.raises(openai.BadRequestError, match="nullable"):
        await client.chat.completions.create(model="default", messages=[QUESTION], tools=odd, tool_choice="required")


async def test_a_required_call_ends_by_itself(server: RunningServer) -> None:
    """A greedy small model would say the same call again and again, or invent keys, up to the last token."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {**parameters, "required": ["city"]}}}
    body = {"model": STARTER, "messages": [QUESTION], "tools": [tool], "tool_choice": "required", "stream": False}
    async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
        forced = await http.post("/api/chat", json={**body, "options": {"temperature": 0, "num_predict": 150}})
        asked = await http.post("/api/chat", json={"model": STARTER, "messages": [QUESTION], "think": True})
    reply = forced.json()
    assert reply["done_reason"] == "stop"
    assert reply["eval_count"] < 150
    (call,) = reply["message"]["tool_calls"]
    assert set(call["function"]["arguments"]) <= {"city", "days"}
    assert (asked.status_code, "does not support thinking" in asked.json()["error"]) == (400, True)
