"""Anthropic's routes over a fake engine: messages, their events in order, tools, counting, errors."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER, read_frames
from webui.core.application import Application

URL = "/v1/messages"
WEATHER = {"name": "weather", "description": "Tells it", "input_schema": {"type": "object", "properties": {}}}


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": STARTER, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


async def test_a_whole_message(client: httpx.AsyncClient) -> None:
    reply = (await client.post(URL, json=ask("think"), headers={"anthropic-version": "2023-06-01"})).json()
    assert (reply["type"], reply["role"], reply["model"]) == ("message", "assistant", STARTER)
    assert reply["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "word0 word1 word2 word3 "},
    ]
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("end_turn", None)
    assert reply["usage"] == {
        "input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 2},
    }  # fmt: skip
    short = (await client.post(URL, json=ask("hi", max_tokens=2))).json()
    assert short["stop_reason"] == "max_tokens"


async def test_the_events_of_a_stream_come_in_order(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=ask("think", stream=True, max_tokens=2))
    events = read_frames(response.text)
    names = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    assert names == [
        "message_start", "ping",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    start, thought, signature, said, end = events[0], events[3], events[4], events[7], events[-2]
    assert (start["message"]["content"], start["message"]["usage"]["input_tokens"]) == ([], 7)
    assert (thought["index"], thought["delta"]) == (0, {"type": "thinking_delta", "thinking": "hm"})
    assert signature["delta"]["type"] == "signature_delta"
    assert (said["index"], said["delta"]) == (1, {"type": "text_delta", "text": "word0 "})
    assert (end["delta"]["stop_reason"], end["usage"]["output_tokens"]) == ("max_tokens", 2)


async def test_a_call_is_streamed_in_pieces_and_told_whole(client: httpx.AsyncClient) -> None:
    events = read_frames((await client.post(URL, json=ask("call", stream=True, tools=[WEATHER]))).text)
    start = next(event for event in events if event["type"] == "content_block_start")
    assert start["content_block"] == {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}
    pieces = [event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == {"city": "Oslo"}
    whole = (await client.post(URL, json=ask("call", tools=[WEATHER]))).json()
    assert (whole["content"][0]["input"], whole["stop_reason"]) == ({"city": "Oslo"}, "tool_use")


async def test_a_conversation_reaches_the_engine(client: httpx.AsyncClient, application: Application) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Rain"}]}
    body = {
        "model": STARTER, "max_tokens": 9, "temperature": 0.5, "top_k": 3, "stop_sequences": ["END"],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, call]},
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
            {"role": "assistant", "content": "It"},
        ],
        "tools": [WEATHER], "tool_choice": {"type": "any"}, "metadata": {"user_id": "me"},
    }  # fmt: skip
    assert (await client.post(URL, json=body)).status_code == 200
    asked = asked_of(application)
    assert [each.role for each in asked.messages] == ["system", "user", "assistant", "tool", "user"]
    assert [each.content for each in asked.messages] == ["Be brief.", "Weather?", "", "Rain", "So?"]
    assert (asked.messages[2].reasoning, asked.messages[2].tool_calls[0].name) == ("hm", "weather")
    assert (asked.messages[3].name, asked.continuation) == ("weather", "It")
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_k, sampling.stop, sampling.max_tokens) == (0.5, 3, ("END",), 9)
    assert (asked.tool_choice.mode, asked.tools[0].name) == ("required", "weather")


async def test_tokens_are_counted_without_an_answer(client: httpx.AsyncClient) -> None:
    body = {"model": STARTER, "messages": [{"role": "user", "content": "hi"}]}
    assert (await client.post(f"{URL}/count_tokens", json=body)).json() == {"input_tokens": 7}


@pytest.mark.parametrize(
    ("body", "status", "kind", "word"),
    [
        (ask("hi", model="gpt-9"), 404, "not_found_error", "gpt-9"),
        (ask("too long"), 400, "invalid_request_error", "prompt is too long: 9000 tokens > 2048 maximum"),
        (ask("busy"), 429, "rate_limit_error", "waiting"),
        (ask("fail"), 503, "overloaded_error", "stopped"),
        ({"model": STARTER, "messages": []}, 400, "invalid_request_error", "max_tokens"),
        (ask("hi", colour="red"), 400, "invalid_request_error", "colour"),
        (ask("hi", tools=[{"type": "web_search_20250305", "name": "find"}]), 400, "invalid_request_error", "web_"),
        (ask("hi", messages=[{"role": "user", "content": [{"type": "image"}]}]), 400, "invalid_request_error", "image"),
    ],
)
async def test_errors_have_anthropics_shape(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, kind: str, word: str
) -> None:
    response = await client.post(URL, json=body)
    told = response.json()
    assert (response.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert word in told["error"]["message"]


async def test_an_error_after_the_headers_is_an_event(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=ask("fail", stream=True))
    assert read_frames(response.text)[-1]["error"]["type"] == "overloaded_error"
    assert "event: error\n" in response.text
    assert "message_stop" not in response.text


async def test_a_stranger_without_a_key_is_refused_in_its_words(stranger: httpx.AsyncClient) -> None:
    for headers in ({}, {"x-api-key": "wrong"}):
        response = await stranger.post(URL, json=ask("hi"), headers=headers)
        assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")


async def test_the_list_of_models_has_the_shape_of_whoever_asks(client: httpx.AsyncClient) -> None:
    version = {"anthropic-version": "2023-06-01"}
    listed = (await client.get("/v1/models", headers=version)).json()
    assert (listed["first_id"], listed["has_more"], listed["data"][0]["type"]) == (STARTER, False, "model")
    assert (await client.get(f"/v1/models/{STARTER}", headers=version)).json() == listed["data"][0]
    assert (await client.get("/v1/models")).json()["object"] == "list"
