"""OpenAI's routes over a fake engine: shapes, errors and which model answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from webui.core.application import Application

STARTER = "SmolLM2-135M-Instruct.Q4_1"
URL = "/v1/chat/completions"


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def read_frames(body: str) -> list[dict[str, Any]]:
    """The JSON frames of a stream; comments and `[DONE]` are left out."""
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    [starter] = [model for model in listed["data"] if model["id"] == STARTER]
    assert (starter["object"], starter["owned_by"], starter["quantization"]) == ("model", "glasshouse", "Q4_1")
    assert (await client.get(f"/v1/models/{STARTER}")).json() == starter


async def test_an_unknown_model_is_openais_404(client: httpx.AsyncClient) -> None:
    asked = [await client.get("/v1/models/gpt-9"), await client.post(URL, json=ask("hi", model="gpt-9"))]
    for response in asked:
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
        assert response.json()["error"]["param"] == "model"
        assert "gpt-9" in response.json()["error"]["message"]


async def test_a_whole_answer(client: httpx.AsyncClient) -> None:
    reply = (await client.post(URL, json=ask("hi"))).json()
    assert (reply["object"], reply["model"]) == ("chat.completion", STARTER)
    assert reply["choices"][0]["message"]["content"] == "word0 word1 word2 word3 "
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 4,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert reply["timings"]["tokens_per_second"] == 100.0


async def test_a_streamed_answer(client: httpx.AsyncClient) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 2}
    response = await client.post(URL, json=ask("hi", **options), headers={"accept-encoding": "gzip"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in response.headers, "a compressed stream would arrive in lumps"
    assert response.headers["cache-control"] == "no-store"
    first, *words, last, usage = read_frames(response.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["delta"]["content"] for chunk in words] == ["word0 ", "word1 "]
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 9
    assert len({chunk["id"] for chunk in (first, *words, last, usage)}) == 1
    assert response.text.endswith("data: [DONE]\n\n")


async def test_usage_is_streamed_only_when_asked_for(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=ask("hi", stream=True))
    assert all("usage" not in chunk for chunk in read_frames(response.text))


async def test_thoughts_are_apart_from_the_answer(client: httpx.AsyncClient) -> None:
    whole = (await client.post(URL, json=ask("think"))).json()["choices"][0]["message"]
    assert (whole["reasoning_content"], whole["content"][:5]) == ("hm", "word0")
    streamed = read_frames((await client.post(URL, json=ask("think", stream=True))).text)
    assert streamed[1]["choices"][0]["delta"] == {"reasoning_content": "hm"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_that_is_too_long_is_a_400_with_both_numbers(
    client: httpx.AsyncClient, stream: bool
) -> None:
    response = await client.post(URL, json=ask("too long", stream=stream))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "9,000" in error["message"]
    assert "2,048" in error["message"]


async def test_when_too_many_wait_it_is_a_429_that_says_when_to_try_again(client: httpx.AsyncClient) -> None:
    for more in ({}, {"stream": True}, {"n": 3}):
        response = await client.post(URL, json=ask("busy", **more))
        assert (response.status_code, response.json()["error"]["code"]) == (429, "engine_busy")
        assert response.headers["retry-after"] == "12"


async def test_what_was_left_out_of_the_conversation_is_told(client: httpx.AsyncClient) -> None:
    whole = (await client.post(URL, json=ask("outgrown", overflow="drop_oldest"))).json()
    assert whole["choices"][0]["trimmed"] == {"messages": 2, "tokens": 0}
    streamed = read_frames((await client.post(URL, json=ask("outgrown", stream=True))).text)
    assert streamed[-1]["choices"][0]["trimmed"] == {"messages": 2, "tokens": 0}
    assert "trimmed" not in (await client.post(URL, json=ask("hi"))).json()["choices"][0]


async def test_an_engine_that_dies_ends_the_stream_with_a_sentence(client: httpx.AsyncClient) -> None:
    streamed = await client.post(URL, json=ask("fail", stream=True))
    assert read_frames(streamed.text)[-1]["error"]["code"] == "engine_died"
    assert "[DONE]" not in streamed.text
    whole = await client.post(URL, json=ask("fail"))
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "engine_died")


async def test_what_is_not_supported_is_said(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=ask("hi", modalities=["audio"]))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "modalities")
    assert "not supported yet" in response.json()["error"]["message"]


async def test_curl_without_a_content_type_is_understood(client: httpx.AsyncClient) -> None:
    body = json.dumps(ask("hi"))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post(URL, content=body, headers=headers)).status_code == 200


async def test_any_key_does_on_this_machine(client: httpx.AsyncClient) -> None:
    """OpenAI's clients do not start without a key."""
    response = await client.post(URL, json=ask("hi"), headers={"authorization": "Bearer sk-no-key-required"})
    assert response.status_code == 200


async def test_a_stranger_needs_the_passphrase(stranger: httpx.AsyncClient, application: Application) -> None:
    assert (await stranger.post(URL, json=ask("hi"))).status_code == 401
    assert application.models.status.state == "stopped", "a stranger's request must not load a model"
    allowed = await stranger.post(URL, json=ask("hi"), headers={"authorization": "Bearer correct horse battery"})
    assert allowed.status_code == 200
