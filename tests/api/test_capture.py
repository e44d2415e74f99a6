"""API requests as the inspector sees them: in every dialect, streamed or not, refused or cut off; and sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from tests.api.conftest import PASSPHRASE
from webui.api.capture import Capture
from webui.core.application import Application
from webui.core.exchange import Exchange
from webui.core.inspector import Inspector
from webui.errors import InvalidRequest

CHAT = "/v1/chat/completions"
MODEL = "SmolLM2-135M-Instruct.Q4_1"


@pytest.fixture
async def inspector(application: Application) -> Inspector:
    await application.inspector.switch(True)
    return application.inspector


def ask(text: str, **more: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


async def until(inspector: Inspector, is_so: Callable[[], bool]) -> None:
    """Wait for news of the inspector that make it so."""
    news = asyncio.Event()
    stop = inspector.changed.subscribe(lambda _: news.set())
    while not is_so():
        await asyncio.wait_for(news.wait(), 10)
        news.clear()
    stop()


def is_whole(exchange: Exchange) -> bool:
    return not exchange.is_running and all(each.prompt or each.prompt_problem for each in exchange.answers)


async def finished(inspector: Inspector, count: int = 1) -> Exchange:
    """The last of so many exchanges, once its answer is whole and its prompt is shown."""
    await until(inspector, lambda: len(inspector.exchanges) == count and is_whole(inspector.exchanges[-1]))
    return inspector.exchanges[-1]


async def test_an_answer_with_the_prompt_that_the_model_saw(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("hello"), headers={"User-Agent": "demo/1.0"})
    exchange = await finished(inspector)
    assert (exchange.status, exchange.arrived.dialect, exchange.arrived.header("user-agent")) == (
        200, "OpenAI", "demo/1.0",
    )  # fmt: skip
    [answer] = exchange.answers
    assert str(answer.prompt) == "<user>hello"
    assert str(answer.text) == "word0 word1 word2 word3 "
    assert answer.end is not None
    assert (answer.end.reason, answer.end.usage.prompt_tokens) == ("stop", 7)
    assert json.loads(exchange.request.data) == ask("hello")
    assert json.loads(exchange.response.data)["choices"][0]["message"]["content"] == str(answer.text)
    assert exchange.first_seconds is not None
    assert exchange.total_seconds is not None
    assert exchange.first_seconds <= exchange.total_seconds


async def test_a_stream_keeps_its_events(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("think", stream=True))
    exchange = await finished(inspector)
    assert len(exchange.response.pieces) >= 4
    assert exchange.response.data.endswith(b"data: [DONE]\n\n")
    assert str(exchange.answers[0].reasoning) == "hm"


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/v1/messages", ask("hi", max_tokens=9), "Anthropic"),
        ("/api/chat", ask("hi"), "Ollama"),
        ("/api/v0/chat/completions", ask("hi"), "LM Studio"),
        ("/completion", {"prompt": "hi"}, "llama.cpp"),
    ],
)
async def test_every_dialect(
    client: httpx.AsyncClient, inspector: Inspector, path: str, body: dict[str, object], dialect: str
) -> None:
    await client.post(path, json=body)
    exchange = await finished(inspector)
    assert (exchange.arrived.dialect, exchange.status) == (dialect, 200)
    assert "hi" in str(exchange.answers[0].prompt)


async def test_several_answers_to_one_request(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("hello", n=3))
    assert len((await finished(inspector)).answers) == 3


async def test_pages_and_our_own_routes_are_not_kept(client: httpx.AsyncClient, inspector: Inspector) -> None:
    for path in ("/manage/models", "/status", "/health", "/api/uploads/nothing"):
        await client.get(path)
    assert inspector.exchanges == ()
    await client.get("/v1/models")
    assert len(inspector.exchanges) == 1


async def test_a_long_list_is_readable_although_it_was_compressed(
    client: httpx.AsyncClient, inspector: Inspector
) -> None:
    await client.post("/tokenize", json={"content": "a" * 2000}, headers={"Accept-Encoding": "gzip"})
    exchange = await finished(inspector)
    assert dict(exchange.response_headers)["content-encoding"] == "gzip"
    assert len(json.loads(exchange.response.data)["tokens"]) == 2000


async def test_a_refusal_is_seen_without_the_key(
    stranger: httpx.AsyncClient, inspector: Inspector, application: Application
) -> None:
    await stranger.get("/v1/models", headers={"Authorization": "Bearer wrong horse"})
    await stranger.get("/v1/models", headers={"Authorization": f"Bearer {PASSPHRASE}"})
    refused, let_in = inspector.exchanges
    assert (refused.status, let_in.status) == (401, 200)
    kept = repr([(each.arrived, each.request.data) for each in inspector.exchanges])
    assert "horse" not in kept


async def test_an_error_in_the_middle_of_a_stream(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("fail", stream=True))
    [answer] = (await finished(inspector)).answers
    assert str(answer.text) == "word0 word1 "
    assert "stopped unexpectedly" in answer.error


async def test_a_client_that_hangs_up(application: Application, app: FastAPI, inspector: Inspector) -> None:
    async with (
        application.wire.client() as client,
        client.stream("POST", CHAT, json=ask("long", stream=True)) as response,
    ):
        await anext(response.aiter_raw())
    exchange = await finished(inspector)
    assert exchange.answers[0].end is None


async def test_nothing_is_kept_while_it_is_off(client: httpx.AsyncClient, application: Application) -> None:
    await client.post(CHAT, json=ask("hello"))
    assert application.inspector.exchanges == ()


# --- again -----------------------------------------------------------------------------------------------------------


async def test_a_request_is_sent_again_as_it_was(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("hello", stream=True))
    first = await finished(inspector)
    inspector.replay(first.id)
    again = await finished(inspector, 2)
    assert again.replay_of == first.id
    assert again.request.data == first.request.data
    assert str(again.answers[0].text) == str(first.answers[0].text)


async def test_a_stranger_s_request_is_sent_again_edited_and_needs_no_key(
    stranger: httpx.AsyncClient, inspector: Inspector
) -> None:
    await stranger.post(CHAT, json=ask("hello"), headers={"Authorization": f"Bearer {PASSPHRASE}"})
    first = await finished(inspector)
    inspector.replay(first.id, json.dumps(ask("call")))
    again = await finished(inspector, 2)
    assert again.status == 200
    assert again.answers[0].calls[0].name == "weather"


async def test_a_replay_is_stopped(client: httpx.AsyncClient, inspector: Inspector) -> None:
    await client.post(CHAT, json=ask("hello", stream=True))
    first = await finished(inspector)
    inspector.replay(first.id, json.dumps(ask("long", stream=True)))
    await until(inspector, lambda: bool(len(inspector.exchanges) == 2 and inspector.exchanges[-1].answers))
    inspector.stop(first.id)
    again = await finished(inspector, 2)
    assert again.is_cut


async def test_a_websocket_is_kept_as_one_request(inspector: Inspector) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"].upper()})
        await send({"type": "websocket.close"})

    incoming = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}])

    async def receive() -> Message:
        return next(incoming)

    async def send(_: Message) -> None:
        """Nobody listens."""

    scope = {"type": "websocket", "path": "/v1/responses", "query_string": b"", "headers": [], "client": ("::1", 1)}
    await Capture(echo, lambda: inspector)(scope, receive, send)
    exchange = await finished(inspector)
    assert (exchange.arrived.dialect, exchange.request.data, exchange.response.data) == (
        "Responses", b"hello\n", b"HELLO\n",
    )  # fmt: skip
    with pytest.raises(InvalidRequest, match="WebSocket"):
        inspector.replay(exchange.id)
