"""`/v1/responses` of a real server with the starter model, asked by the official client."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pydantic

from tests.api.test_real_server import STARTER, client, is_idle, wait_until  # noqa: F401 - `client` is a fixture
from tests.support.server import RunningServer

LETTER = "The lamp turns and the sea is dark. " * 12 + "What is this about?"


async def test_a_conversation_that_goes_on_is_read_once(client: openai.AsyncOpenAI) -> None:  # noqa: F811
    first = await client.responses.create(
        model=STARTER, instructions="You are brief.", input=LETTER, temperature=0, max_output_tokens=24
    )
    assert first.usage is not None and first.output_text
    second = await client.responses.create(
        model=STARTER, instructions="You are brief.", input="And where?", previous_response_id=first.id,
        temperature=0, max_output_tokens=8,
    )  # fmt: skip
    assert second.usage is not None
    said_before = first.usage.total_tokens
    assert second.usage.input_tokens > said_before
    assert second.usage.input_tokens_details.cached_tokens >= said_before - 4, "the answer, too, was not read again"
    counted = await client.responses.input_tokens.count(
        model=STARTER, instructions="You are brief.", input="And where?", previous_response_id=first.id
    )
    assert counted.input_tokens == second.usage.input_tokens


async def test_a_stream_says_what_the_whole_response_says(client: openai.AsyncOpenAI) -> None:  # noqa: F811
    options: Any = {"model": STARTER, "input": "Name three birds.", "temperature": 0, "max_output_tokens": 24}
    options |= {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    whole = await client.responses.create(**options)
    stream = await client.responses.create(**options, stream=True)
    events = [event async for event in stream]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == whole.output_text
    assert len(deltas) > 3, "it came in one lump"
    odds = whole.output[0].content[0].logprobs
    assert "".join(token.token for token in odds or []) == whole.output_text
    assert [token.token for event in deltas for token in event.logprobs] == [token.token for token in odds or []]


async def test_the_official_client_parses_an_answer_in_its_form(client: openai.AsyncOpenAI) -> None:  # noqa: F811
    class Bird(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=12)
        can_fly: bool
        legs: int = pydantic.Field(ge=0, le=2)

    response = await client.responses.parse(
        model=STARTER, input="Describe a bird.", text_format=Bird, max_output_tokens=100
    )
    assert response.output_parsed is not None
    assert 0 <= response.output_parsed.legs <= 2


async def test_a_required_call_makes_the_round(client: openai.AsyncOpenAI) -> None:  # noqa: F811
    tool: Any = {
        "type": "function", "name": "get_weather", "description": "Tells the weather", "strict": True,
        "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "enum": ["Bern", "Oslo"]}},
            "required": ["city"], "additionalProperties": False,
        },
    }  # fmt: skip
    first = await client.responses.create(
        model=STARTER, input="How is the weather in Bern?", tools=[tool], tool_choice="required"
    )
    [call] = [item for item in first.output if item.type == "function_call"]
    assert pydantic.TypeAdapter(dict[str, str]).validate_json(call.arguments)["city"] in {"Bern", "Oslo"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Snow, 2 degrees."}
    second = await client.responses.create(
        model=STARTER, input=[result], previous_response_id=first.id, tools=[tool], tool_choice="none",
        max_output_tokens=8,
    )  # fmt: skip
    assert second.output_text


async def test_a_response_in_the_background_outlives_its_request_and_is_cancelled(
    client: openai.AsyncOpenAI,  # noqa: F811
    server: RunningServer,
) -> None:
    begun = await client.responses.create(model=STARTER, input="Tell a very long story.", background=True)

    async def has_words() -> bool:
        return bool((await client.responses.retrieve(begun.id)).output_text)

    await wait_until(has_words, "somebody writes while nobody waits")
    cancelled = await client.responses.cancel(begun.id)
    assert (cancelled.status, bool(cancelled.output_text)) == ("cancelled", True)
    await wait_until(lambda: is_idle(server), "the engine stops when it is cancelled", 5)


async def test_hanging_up_stops_the_model(server: RunningServer) -> None:
    body = {"input": "Tell a very long story.", "stream": True}
    async with (
        httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=60) as http,
        http.stream("POST", "/v1/responses", json=body) as response,
    ):
        async for line in response.aiter_lines():
            if line == "event: response.output_text.delta":
                break
    await wait_until(lambda: is_idle(server), "the engine stops after the hang-up", 5)


async def test_a_conversation_over_a_websocket(client: openai.AsyncOpenAI, server: RunningServer) -> None:  # noqa: F811
    async with client.responses.connect() as connection:
        await connection.response.create(model=STARTER, input=LETTER, store=False, max_output_tokens=8)
        async for event in connection:
            if event.type in {"response.completed", "response.incomplete"}:
                first = event.response
                break
        await connection.response.create(
            model=STARTER, input="And where?", store=False, previous_response_id=first.id, max_output_tokens=8
        )
        async for event in connection:
            if event.type in {"response.completed", "response.incomplete"}:
                break
        assert event.response.usage is not None and first.usage is not None  # type: ignore[union-attr]
        assert event.response.usage.input_tokens_details.cached_tokens >= first.usage.total_tokens - 4  # type: ignore[union-attr]
        await connection.response.create(model=STARTER, input="Tell a very long story.")
        async for event in connection:
            if event.type == "response.output_text.delta":
                break
    await wait_until(lambda: is_idle(server), "the engine stops after the hang-up", 5)
