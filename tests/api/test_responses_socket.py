"""The WebSocket mode of `/v1/responses` over a fake engine, spoken by the official client through a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from openai.resources.responses.responses import AsyncResponsesConnection

from tests.api.test_ollama import asked_of
from tests.api.test_openai import STARTER
from tests.api.test_real_server import wait_until
from tests.api.test_responses import WORDS, ask
from webui.api.openai.responses.socket import MAX_WAITING
from webui.core.application import Application
from webui.store.keys import KeyLimits
from webui.types import Message

Event = dict[str, Any]

ENDS = {"response.completed", "response.incomplete", "response.failed", "response.steer.failed", "error"}


class QuietServer(uvicorn.Server):
    """Leaves signals to pytest."""

    def install_signal_handlers(self) -> None: ...


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Host and port of the API on a real socket."""
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None, access_log=False)
    server = QuietServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture
async def connection(address: str) -> AsyncIterator[AsyncResponsesConnection]:
    options: Any = {"close_timeout": 0.2}  # who hangs up in the middle of a flood does not read it to its end
    async with (
        openai.AsyncOpenAI(base_url=f"http://{address}/v1", api_key="none") as client,
        client.responses.connect(websocket_connection_options=options) as connected,
    ):
        yield connected


async def read(connection: AsyncResponsesConnection, *, until: int = 1) -> list[Event]:
    """Every event until so many responses or errors have ended."""
    events: list[Event] = []
    while sum(event["type"] in ENDS for event in events) < until:
        events.append(json.loads(await asyncio.wait_for(connection.recv_bytes(), 10)))
    return events


async def say(connection: AsyncResponsesConnection, words: str, /, **more: Any) -> Event:
    """The response's object."""
    await connection.response.create(input=words, **more)
    return dict((await read(connection))[-1]["response"])


async def test_a_conversation_over_one_connection(
    connection: AsyncResponsesConnection, application: Application
) -> None:
    await connection.response.create(model=STARTER, input="think")
    events = await read(connection)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    first = events[-1]["response"]
    assert first["output"][-1]["content"][0]["text"] == WORDS
    await say(connection, "And?", previous_response_id=first["id"])
    assert asked_of(application).messages[1:] == (
        Message(role="assistant", content=WORDS, reasoning="hm"),
        Message(role="user", content="And?"),
    )


async def test_what_is_not_stored_lasts_as_long_as_the_connection(
    connection: AsyncResponsesConnection, address: str, application: Application
) -> None:
    first = await say(connection, "hi", store=False)
    second = await say(connection, "And?", store=False, previous_response_id=first["id"])
    assert len(asked_of(application).messages) == 3
    other: Any = {"type": "response.create", "input": "So?", "previous_response_id": second["id"]}
    async with websockets.connect(f"ws://{address}/v1/responses") as stranger:
        await stranger.send(json.dumps(other))
        error = json.loads(await stranger.recv())
    assert (error["type"], error["status"]) == ("error", 404)
    assert (error["error"]["code"], error["error"]["param"]) == ("previous_response_not_found", "previous_response_id")


async def test_a_stored_response_holds_what_was_not_stored_before_it(
    connection: AsyncResponsesConnection, client: httpx.AsyncClient, application: Application
) -> None:
    unstored = await say(connection, "hi", store=False)
    stored = await say(connection, "And?", previous_response_id=unstored["id"])
    assert stored["previous_response_id"] == unstored["id"]
    await ask(client, "So?", previous_response_id=stored["id"])
    texts = [message.content for message in asked_of(application).messages]
    assert texts == ["hi", WORDS, "And?", WORDS, "So?"]


async def test_lanes_are_answered_side_by_side_and_each_in_order(connection: AsyncResponsesConnection) -> None:
    await connection.response.create(input="long", stream_id="slow")
    await connection.response.create(input="one", stream_id="quick")
    await connection.response.create(input="two", stream_id="quick", max_output_tokens=1)
    events = [event for event in await read(connection, until=2) if event["stream_id"] == "quick"]
    begun = [event["response"]["id"] for event in events if event["type"] == "response.created"]
    ended = [event["response"]["id"] for event in events if event["type"] in ENDS]
    assert begun == ended
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "word0 "


async def test_who_sends_too_much_is_told_to_wait(connection: AsyncResponsesConnection) -> None:
    await connection.response.create(input="long", stream_id="slow")
    for _ in range(MAX_WAITING + 1):
        await connection.response.create(input="hi", stream_id="slow")
    events = await read(connection)
    assert (events[-1]["type"], events[-1]["status"], events[-1]["stream_id"]) == ("error", 429, "slow")


async def test_a_keys_limit_counts_each_response(address: str, application: Application) -> None:
    _, token = await application.keys.create("editor", ["inference"], limits=KeyLimits(requests_per_minute=1))
    async with (
        openai.AsyncOpenAI(base_url=f"http://{address}/v1", api_key=token) as client,
        client.responses.connect() as connection,
    ):
        assert (await say(connection, "hi"))["status"] == "completed"
        await connection.response.create(input="hi")
        [error] = await read(connection)
        assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_a_prompt_is_only_read(connection: AsyncResponsesConnection, application: Application) -> None:
    read_only = await say(connection, "A long letter.", generate=False)
    assert (read_only["status"], read_only["output"]) == ("completed", [])
    assert (read_only["usage"]["input_tokens"], read_only["usage"]["output_tokens"]) == (7, 0)
    await say(connection, "Sum it up.", previous_response_id=read_only["id"])
    texts = [message.content for message in asked_of(application).messages]
    assert texts == ["A long letter.", "Sum it up."]


REFUSED: list[tuple[str, str | None]] = [
    ("no json", None),
    ("[]", None),
    ('{"type": "response.dance"}', "type"),
    ('{"type": "response.create"}', "input"),
    ('{"type": "response.create", "input": "hi", "background": true}', "background"),
    ('{"type": "response.create", "input": "hi", "temperature": 9}', "temperature"),
    ('{"type": "response.create", "input": "hi", "metadata": {"a": "\\ud800"}}', "message"),
    ('{"type": "response.create", "input": "hi", "model": "gpt-9"}', "model"),
]


async def test_what_is_wrong_is_told_and_the_connection_stays(connection: AsyncResponsesConnection) -> None:
    for sent, param in REFUSED:
        await connection.send_raw(sent)
        [error] = await read(connection)
        assert (error["type"], error["error"]["param"]) == ("error", param), sent
        assert error["status"] == (404 if param == "model" else 400)
    assert (await say(connection, "hi"))["status"] == "completed"


async def test_steering_is_refused_in_words(connection: AsyncResponsesConnection) -> None:
    await connection.response.steer(input="Faster!", previous_response_id="resp_1")
    [refusal] = await read(connection)
    assert (refusal["type"], refusal["error"]["code"]) == ("response.steer.failed", "steering_not_supported")
    assert refusal["steer"] == {"previous_response_id": "resp_1", "input": "Faster!"}


async def test_the_model_stops_when_the_client_hangs_up(
    connection: AsyncResponsesConnection, application: Application
) -> None:
    await connection.response.create(input="long")
    while json.loads(await connection.recv_bytes())["type"] != "response.output_text.delta":
        pass
    assert application.models.alive[0].load.num_running == 1
    await connection.close()

    async def is_idle() -> bool:
        return application.models.alive[0].load.num_running == 0

    await wait_until(is_idle, "the engine stops after the hang-up", 5)


async def test_it_ends_when_the_server_stops(connection: AsyncResponsesConnection, app: FastAPI) -> None:
    await connection.response.create(input="long")
    await connection.recv_bytes()
    app.state.stopping.set()
    while (event := json.loads(await connection.recv_bytes()))["type"] != "error":
        pass
    assert event["error"]["code"] == "server_stopping"
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await connection.recv_bytes()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_a_foreign_page_gets_no_connection(address: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(f"ws://{address}/v1/responses", origin=websockets.Origin("https://evil.example"))
    assert refusal.value.response.status_code == 403
