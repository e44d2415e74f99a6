"""`/v1/responses` over a fake engine, mostly asked by the official client: shapes, events, chains, what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from fastapi import FastAPI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER, read_frames
from webui.api.openai.responses.reply import Reply
from webui.core.application import Application
from webui.types import (
    AlternativeToken,
    Finished,
    Grammar,
    Image,
    Message,
    Queued,
    TextDelta,
    Thinking,
    Timings,
    TokenLogprobs,
    ToolCall,
    ToolChoice,
    Usage,
)

URL = "/v1/responses"
WORDS = "word0 word1 word2 word3 "
_END = Finished(
    reason="stop",
    usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=3),
    timings=Timings(queued_seconds=0.0, first_token_seconds=0.0, total_seconds=0.0, tokens_per_second=0.0),
)
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells it",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}


@pytest.fixture
async def ai(app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client, in this process."""
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 50000))
    http = httpx2.AsyncClient(transport=transport)
    async with openai.AsyncOpenAI(
        base_url="http://localhost:8002/v1", api_key="none", max_retries=0, http_client=http
    ) as client:
        yield client


async def ask(client: httpx.AsyncClient, words: str, /, **more: Any) -> dict[str, Any]:
    return dict((await client.post(URL, json={"input": words, **more})).json())


async def read_events(client: httpx.AsyncClient, words: str, /, **more: Any) -> list[dict[str, Any]]:
    response = await client.post(URL, json={"input": words, "stream": True, **more})
    names = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    events = read_frames(response.text)
    assert names == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event)  # each is whole, in the official client's own words
    return events


# --- answers -------------------------------------------------------------------------------------------------------


async def test_the_official_client_gets_a_response(ai: openai.AsyncOpenAI) -> None:
    response = await ai.responses.create(
        model=STARTER, input="think", instructions="Be brief.", metadata={"run": "7"}, temperature=0.5, top_p=0.5
    )
    assert (response.status, response.model, response.output_text) == ("completed", STARTER, WORDS)
    thoughts, message = response.output
    assert thoughts.type == "reasoning" and message.type == "message"
    assert thoughts.content is not None and thoughts.content[0].text == "hm"
    assert message.status == "completed"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (7, 3)
    assert (response.usage.output_tokens, response.usage.total_tokens) == (4, 11)
    assert (response.instructions, response.metadata) == ("Be brief.", {"run": "7"})
    assert (response.temperature, response.top_p) == (0.5, 0.5)
    assert response.completed_at is not None


async def test_a_response_that_was_cut_says_why(ai: openai.AsyncOpenAI) -> None:
    response = await ai.responses.create(input="hi", max_output_tokens=2)
    assert (response.status, response.output_text) == ("incomplete", "word0 word1 ")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[-1].status == "incomplete"  # type: ignore[union-attr]


async def test_a_conversation_reaches_the_model_as_it_was(client: httpx.AsyncClient, application: Application) -> None:
    items = [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Is it "}, {"type": "input_text", "text": "warm?"}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "I ask."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call", "call_id": "b", "name": "weather", "arguments": '{"city": "Rome"}'},
        {"type": "function_call_output", "call_id": "a", "output": "3"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "20"}]},
        {"role": "assistant", "content": "In Rome."},
        {"role": "assistant", "content": "Not in Oslo."},
        {"role": "user", "content": "Thanks"},
    ]
    response = await client.post(URL, json={"input": items, "instructions": "Be brief.", "tools": [WEATHER]})
    assert response.status_code == 200, response.text
    calls = [("a", "Oslo"), ("b", "Rome")]
    assert asked_of(application).messages == (
        Message(role="system", content="Be brief.\n\nBe kind."),
        Message(role="user", content="Is it warm?"),
        Message(
            role="assistant",
            content="Let me see.",
            reasoning="I ask.",
            tool_calls=tuple(
                ToolCall(id=call, name="weather", arguments=f'{{"city": "{city}"}}') for call, city in calls
            ),
        ),
        Message(role="tool", content="3", tool_call_id="a", name="weather"),
        Message(role="tool", content="20", tool_call_id="b", name="weather"),
        Message(role="assistant", content="In Rome."),
        Message(role="assistant", content="Not in Oslo."),
        Message(role="user", content="Thanks"),
    )


async def test_a_picture_reaches_the_engine_and_stays_in_the_conversation(
    ai: openai.AsyncOpenAI, application: Application
) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(8)
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{base64.b64encode(png).decode()}"}
    items: Any = [{"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, picture]}]
    first = await ai.responses.create(input=items)
    await ai.responses.create(input="And now?", previous_response_id=first.id)
    assert asked_of(application).messages[0].images == (Image(data=png, at=13),)


async def test_what_a_request_says_reaches_the_engine(client: httpx.AsyncClient, application: Application) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await ask(
        client, "hi", truncation="auto", temperature=0, top_k=5, max_output_tokens=9, top_logprobs=2,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"], reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        tools=[WEATHER, WEATHER | {"name": "news"}],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "news"}]},
        service_tier="auto", prompt_cache_key="k", user="u",
    )  # fmt: skip
    asked = asked_of(application)
    assert (asked.overflow, asked.thinking) == ("drop_oldest", Thinking(effort="low"))
    assert (asked.sampling.temperature, asked.sampling.top_k, asked.sampling.max_tokens) == (0, 5, 9)
    assert asked.sampling.logprobs == 2
    assert asked.sampling.grammar == Grammar(
        kind="json_schema", source='{"type": "object", "properties": {"n": {"type": "integer"}}}'
    )
    assert [tool.name for tool in asked.tools] == ["news"]
    assert asked.tool_choice == ToolChoice(mode="required")
    await ask(client, "hi", tools=[WEATHER], tool_choice={"type": "function", "name": "weather"})
    assert asked_of(application).tool_choice == ToolChoice(mode="required", name="weather", is_parallel=False)


# --- events --------------------------------------------------------------------------------------------------------


async def test_the_events_of_a_stream_come_in_order(client: httpx.AsyncClient) -> None:
    events = await read_events(client, "think", max_output_tokens=2)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "incomplete",
    ]  # fmt: skip
    assert [event.get("output_index") for event in events[2:-1]] == [0] * 6 + [1] * 7
    assert events[0]["response"]["status"] == "in_progress"
    assert events[-1]["response"]["output"] == [events[7]["item"], events[14]["item"]]


async def test_a_call_comes_in_pieces(client: httpx.AsyncClient) -> None:
    events = await read_events(client, "call", tools=[WEATHER])
    deltas = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
    [done] = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert (deltas, done["arguments"]) == (['{"city": ', '"Oslo"}'], '{"city": "Oslo"}')
    last = events[-1]["response"]
    assert last["status"] == "completed"
    [call] = [item for item in last["output"] if item["type"] == "function_call"]
    assert (call["call_id"], call["name"], call["status"]) == ("call_1", "weather", "completed")


async def test_the_official_client_follows_a_stream(ai: openai.AsyncOpenAI) -> None:
    async with ai.responses.stream(model=STARTER, input="call", tools=[WEATHER]) as stream:
        texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(texts) == final.output_text == WORDS
    [call] = [item for item in final.output if item.type == "function_call"]
    assert call.arguments == '{"city": "Oslo"}'


def test_who_waits_in_line_is_queued() -> None:
    reply = Reply({}, STARTER)
    events = [*reply.begin(is_queued=True), *reply.take(Queued(position=1)), *reply.take(TextDelta(text="hi"))]
    assert [event["type"].removeprefix("response.") for event in events[:4]] == [
        "created", "queued", "in_progress", "output_item.added",
    ]  # fmt: skip
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]


def test_odds_of_tokens_come_with_their_words() -> None:
    reply = Reply({}, STARTER)
    odds = [TokenLogprobs(chosen=AlternativeToken(token=token, logprob=-1.0), top=()) for token in (b"h", b"i", b"!")]
    told = [*reply.begin(is_queued=False)]
    for event in (odds[0], odds[1], TextDelta(text="hi"), odds[2], _END):
        told += reply.take(event)
    [delta] = [event for event in told if event["type"] == "response.output_text.delta"]
    assert [token["token"] for token in delta["logprobs"]] == ["h", "i"]
    [part] = told[-1]["response"]["output"][0]["content"]
    assert [token["token"] for token in part["logprobs"]] == ["h", "i", "!"]


async def test_what_goes_wrong_in_a_stream_is_its_last_event(client: httpx.AsyncClient) -> None:
    events = await read_events(client, "fail")
    assert events[-1]["type"] == "response.failed"
    failed = events[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert failed["output"][0]["content"][0]["text"] == "word0 word1 "
    assert (await client.get(f"{URL}/{failed['id']}")).json()["status"] == "failed"
    assert (await client.post(URL, json={"input": "fail"})).status_code == 503


async def test_what_was_left_out_is_told(client: httpx.AsyncClient) -> None:
    assert (await ask(client, "outgrown", truncation="auto"))["trimmed"] == {"messages": 2, "tokens": 0}


# --- chains --------------------------------------------------------------------------------------------------------


async def test_a_response_goes_on_from_another(ai: openai.AsyncOpenAI, application: Application) -> None:
    first = await ai.responses.create(input="think", instructions="Be brief.")
    second = await ai.responses.create(input="And?", previous_response_id=first.id)
    third = await ai.responses.create(input="So?", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    answer = Message(role="assistant", content=WORDS)
    assert asked_of(application).messages == (
        Message(role="user", content="think"),
        Message(role="assistant", content=WORDS, reasoning="hm"),
        Message(role="user", content="And?"),
        answer,
        Message(role="user", content="So?"),
    ), "instructions belong to their own response only"


async def test_a_result_answers_the_call_of_the_response_before(
    ai: openai.AsyncOpenAI, application: Application
) -> None:
    first = await ai.responses.create(input="call", tools=[WEATHER])
    result: Any = {"type": "function_call_output", "call_id": "call_1", "output": "3 degrees"}
    await ai.responses.create(input=[result], previous_response_id=first.id, tools=[WEATHER])
    assert asked_of(application).messages[-1] == Message(
        role="tool", content="3 degrees", tool_call_id="call_1", name="weather"
    )


async def test_an_item_is_sent_by_its_id(ai: openai.AsyncOpenAI, application: Application) -> None:
    first = await ai.responses.create(input="hi")
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    await ai.responses.create(input=[{"role": "user", "content": "hi"}, reference, {"role": "user", "content": "So?"}])
    assert asked_of(application).messages[1] == Message(role="assistant", content=WORDS)


async def test_nobody_goes_on_from_what_is_not_theirs(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    stranger.headers["x-api-key"] = "correct horse battery"
    made = await ask(client, "hi")
    unstored = await ask(client, "hi", store=False)
    for asker, response_id in [(stranger, made["id"]), (client, unstored["id"]), (client, "../../etc"), (client, "")]:
        refusal = await asker.post(URL, json={"input": "So?", "previous_response_id": response_id})
        error = refusal.json()["error"]
        assert (refusal.status_code, error["code"]) == (404, "previous_response_not_found")
        assert (error["param"], error["type"]) == ("previous_response_id", "invalid_request_error")


# --- counting ------------------------------------------------------------------------------------------------------


async def test_prompts_are_counted(ai: openai.AsyncOpenAI, client: httpx.AsyncClient) -> None:
    first = await ai.responses.create(input="hi")
    counted = await ai.responses.input_tokens.count(input="So?", previous_response_id=first.id, tools=[WEATHER])
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 7)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    told = (await client.post("/v1/chat/completions/input_tokens", json=body)).json()
    assert told["input_tokens"] == 7
    refused = await client.post("/v1/chat/completions/input_tokens", json=body | {"top_tokens": 3})
    assert refused.json()["error"]["param"] == "top_tokens"


# --- what is refused -----------------------------------------------------------------------------------------------


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "web_search"}]}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools.0.name"),
    ({"tools": [WEATHER | {"defer_loading": True}]}, "tools.0.defer_loading"),
    ({"tools": [WEATHER | {"parameters": {"title": "\ud800"}}]}, "tools.0.parameters"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": [{"name": "x"}]}}, "tool_choice"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ({"text": {"verbosity": "high"}}, "text.verbosity"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"background": True, "store": False}, "background"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"input": []}, "input"),
    ({"input": [{"role": "pirate", "content": "arr"}]}, "input.0.role"),
    ({"input": [{"type": "computer_call"}]}, "input.0"),
    ({"input": [{"type": "function_call_output", "call_id": "x", "output": "1"}]}, "input"),
    ({"input": [{"type": "item_reference", "id": "msg_unknown"}]}, "input"),
    ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}]}, "input.0"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input.0.content"),
    ({"input": [{"role": "user", "content": "a", "id": "x"}, {"role": "user", "content": "b", "id": "x"}]},
     "input.1.id"),
]  # fmt: skip


async def test_what_would_be_ignored_is_refused(client: httpx.AsyncClient) -> None:
    for more, param in REFUSED:
        body = json.dumps({"input": "hi"} | more)
        refusal = await client.post(URL, content=body)
        assert (refusal.status_code, refusal.json()["error"]["param"]) == (400, param), body


async def test_errors_become_the_clients_own_exceptions(ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await ai.responses.create(model="gpt-9", input="hi", background=True)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        await ai.responses.create(input="too long")
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.RateLimitError):
        await ai.responses.create(input="busy", stream=True)
