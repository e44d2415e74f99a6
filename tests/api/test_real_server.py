"""The API of a real server with the starter model, asked by the official client and by clients that leave."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import openai
import pydantic
import pytest
import websockets

from tests.conftest import ServerStarter
from tests.support.server import RunningServer, clean_environment, find_free_port, find_lan_address

STARTER = "SmolLM2-135M-Instruct.Q4_1"
BIRDS: Any = [{"role": "user", "content": "Name three birds."}]
STORY: Any = [{"role": "user", "content": "Tell a very long story about a lighthouse."}]


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def status(server: RunningServer) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return dict((await client.get(f"{server.base_url}/status")).json())


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 10.0) -> float:
    """Seconds until the condition held; fails after the deadline."""
    start = time.monotonic()
    while not await condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def is_idle(server: RunningServer) -> bool:
    return bool((await status(server))["queue"]["num_running"] == 0)


async def test_the_official_client_gets_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(model=STARTER, messages=BIRDS, max_completion_tokens=12, temperature=0)
    assert reply.model == STARTER
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert (reply.usage.completion_tokens, reply.usage.prompt_tokens > 5) == (12, True)


async def test_the_official_client_streams_the_same_answer(client: openai.AsyncOpenAI) -> None:
    options: Any = {"model": "default", "messages": BIRDS, "max_completion_tokens": 40, "temperature": 0}
    whole = (await client.chat.completions.create(**options)).choices[0].message.content
    stream = await client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 40
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 3, "it came in one lump"


async def test_the_official_client_gets_an_answer_in_its_form(client: openai.AsyncOpenAI) -> None:
    """Through every door and pipe: a pydantic model goes out as a schema and comes back filled in."""

    class Bird(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=12)
        can_fly: bool
        legs: int = pydantic.Field(ge=0, le=2)

    reply = await client.chat.completions.parse(
        model="default", messages=BIRDS, response_format=Bird, max_completion_tokens=100
    )
    bird = reply.choices[0].message.parsed
    assert bird is not None
    assert 0 <= bird.legs <= 2
    assert reply.choices[0].finish_reason == "stop"

    with pytest.raises(openai.BadRequestError, match="uniqueItems"):
        schema: Any = {"name": "birds", "schema": {"type": "array", "uniqueItems": True}}
        await client.chat.completions.create(
            model="default", messages=BIRDS, response_format={"type": "json_schema", "json_schema": schema}
        )


async def test_the_official_client_reads_log_probabilities(client: openai.AsyncOpenAI) -> None:
    options: Any = {"model": "default", "messages": BIRDS, "max_completion_tokens": 6, "temperature": 0}
    options |= {"logprobs": True, "top_logprobs": 2}
    reply = await client.chat.completions.create(**options)
    odds = reply.choices[0].logprobs
    assert odds is not None and odds.content is not None
    assert "".join(token.token for token in odds.content) == reply.choices[0].message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in odds.content)
    stream = await client.chat.completions.create(**options, stream=True)
    streamed = [
        token.token
        async for chunk in stream
        for token in (chunk.choices[0].logprobs and chunk.choices[0].logprobs.content) or []
    ]
    assert streamed == [token.token for token in odds.content]


async def count(server: RunningServer, metric: str) -> int:
    """What the engine has told so far, once a second; all labels together."""
    async with httpx.AsyncClient(trust_env=False) as client:
        metrics = (await client.get(f"{server.base_url}/metrics")).text
    return sum(int(float(value)) for value in re.findall(rf"^glasshouse_{metric}\S* (\S+)$", metrics, re.MULTILINE))


async def test_the_official_client_gets_several_answers_from_one_reading_of_the_prompt(
    client: openai.AsyncOpenAI, server: RunningServer
) -> None:
    await wait_until(lambda: is_idle(server), "nobody is answered any more")
    read_before, cached_before = [await count(server, metric) for metric in ("prompt_tokens", "cached_tokens")]
    letter: Any = [{"role": "user", "content": "The lamp turns and the sea is dark. " * 40 + "Go on."}]
    reply = await client.chat.completions.create(
        model="default", messages=letter, n=4, seed=1, temperature=1.5, max_completion_tokens=12
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert len({choice.message.content for choice in reply.choices}) > 1, "each has a seed of its own"
    assert reply.usage is not None
    prompt = reply.usage.prompt_tokens

    async def is_told() -> bool:
        return await count(server, "prompt_tokens") - read_before >= 4 * prompt

    await wait_until(is_told, "the engine tells of all four")
    assert await count(server, "cached_tokens") - cached_before >= 3 * prompt - 10


async def test_an_answer_that_was_begun_is_gone_on_with(client: openai.AsyncOpenAI) -> None:
    count: Any = [
        {"role": "user", "content": "Count from one to ten in words."},
        {"role": "assistant", "content": "One, two, three, four,"},
    ]
    reply = await client.chat.completions.create(
        model="default", messages=count, temperature=0, max_completion_tokens=4,
        extra_body={"continue_final_message": True, "add_generation_prompt": False},
    )  # fmt: skip
    assert (reply.choices[0].message.content or "").startswith(" five")


async def test_errors_become_the_clients_own_exceptions(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-9", messages=BIRDS)
    assert missing.value.code == "model_not_found"

    with pytest.raises(openai.BadRequestError) as too_long:
        await client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "word " * 40_000}], stream=True
        )
    assert too_long.value.code == "context_length_exceeded"
    assert "8,192" in too_long.value.message

    with pytest.raises(openai.BadRequestError, match="not supported yet"):
        await client.chat.completions.create(model="default", messages=BIRDS, modalities=["audio"])


async def test_the_official_client_lists_models(client: openai.AsyncOpenAI) -> None:
    assert STARTER in [model.id async for model in client.models.list()]


async def test_several_people_are_answered_side_by_side(client: openai.AsyncOpenAI, server: RunningServer) -> None:
    async def read(started: asyncio.Event, others: list[asyncio.Event]) -> str:
        """One stream, read until every other one has begun, too."""
        stream = await client.chat.completions.create(model="default", messages=STORY, max_tokens=200, stream=True)
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text:
                started.set()
            if all(other.is_set() for other in others):
                break
        await stream.close()
        assert all(other.is_set() for other in others), "the answers came one after the other"
        return text

    events = [asyncio.Event() for _ in range(3)]
    assert all(await asyncio.wait_for(asyncio.gather(*(read(event, events) for event in events)), 60))


async def read_until_first_word(lines: AsyncIterator[str]) -> None:
    async for line in lines:
        if '"content":"' in line and '"content":""' not in line:
            return


async def test_a_stream_stops_when_its_client_hangs_up(server: RunningServer) -> None:
    async with (
        httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json={"messages": STORY, "stream": True}) as response,
    ):
        await read_until_first_word(response.aiter_lines())
    await wait_until(lambda: is_idle(server), "the engine stops after the hang-up", 5)


async def test_a_request_that_is_not_streamed_stops_too(server: RunningServer) -> None:
    body = json.dumps({"messages": STORY}).encode()
    host = f"127.0.0.1:{server.port}"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode() + body)
    await writer.drain()

    async def is_running() -> bool:
        return not await is_idle(server)

    await wait_until(is_running, "the answer begins")
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: is_idle(server), "the engine stops after the hang-up", 5)


async def test_a_model_loads_and_unloads_over_http(start_server: ServerStarter) -> None:
    server = start_server()
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=60) as client:
        loaded = (await client.post("/load_model", json={"model": STARTER, "ctx": 512})).json()
        assert (loaded["state"], loaded["model"]["context_tokens"]) == ("ready", 512)
        assert loaded["ram"]["engine_bytes"] > 50_000_000
        unloaded = (await client.post("/unload_model")).json()
        assert (unloaded["state"], unloaded["ram"]["engine_bytes"]) == ("stopped", 0)


async def test_the_server_stops_at_once_with_a_stream_open(start_server: ServerStarter) -> None:
    server = start_server()
    async with (
        httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json={"messages": STORY, "stream": True}) as response,
    ):
        lines = response.aiter_lines()
        await read_until_first_word(lines)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        rest = [line async for line in lines if line.startswith("data: ")]
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert time.monotonic() - begun < 5
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "server_stopping"
    assert "Traceback" not in server.log


async def test_an_import_that_breaks_goes_on_where_it_stopped(start_server: ServerStarter) -> None:
    server = start_server()
    size = 40_000_000
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        begun = await client.post("/api/uploads", json={"name": "big.gguf", "size": size})
        url = begun.headers["location"]
        head = f"PATCH {url} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nContent-Length: {size}\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + b"GGUF" + bytes(5_000_000))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

        async def has_arrived() -> bool:
            return int((await client.head(url)).headers["upload-offset"]) == 5_000_004

        await wait_until(has_arrived, "what came before the break is kept")
    assert "Traceback" not in server.log


def test_headers_without_end_are_cut_off(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            for number in range(20_000):
                connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))


async def test_a_foreign_page_cannot_open_the_pages_socket(server: RunningServer) -> None:
    url = f"ws://127.0.0.1:{server.port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, origin=websockets.Origin(server.base_url)) as socket:
        assert await socket.recv()
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(url, origin=websockets.Origin("https://evil.example"))
    assert refusal.value.response.status_code == 403


def test_a_port_in_use_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "webui", "serve", "--port", str(port)],
            check=False, env=clean_environment(), capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"glasshouse: Port {port} is already in use")
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - begun < 5


def test_a_second_server_leaves_the_first_ones_data_alone(server: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "webui", "serve", "--port", str(find_free_port()), "--data-dir", str(server.data_dir)],
        check=False, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("glasshouse: Another Glasshouse is running with the data folder")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_stops_at_once(start_server: ServerStarter, how: signal.Signals) -> None:
    server = start_server()
    begun = time.monotonic()
    assert server.stop(how) == 0
    assert time.monotonic() - begun < 3
    assert "Traceback" not in server.log


async def test_other_machines_sign_in_and_this_one_does_not(start_server: ServerStarter) -> None:
    address = find_lan_address()
    assert address is not None, "this test needs a network interface besides loopback"
    server = start_server(lan=True, port=find_free_port("0.0.0.0"))
    [line] = [line for line in server.log.splitlines() if "Passphrase" in line]
    passphrase = line.split()[-1]
    assert f"http://{address}:{server.port}" in server.log

    async with httpx.AsyncClient(base_url=f"http://{address}:{server.port}", trust_env=False) as client:
        assert (await client.get("/status")).status_code == 401
        sent = await client.get("/", headers={"accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/signin?next=%2F")
        assert (await client.get("/status", headers={"x-api-key": passphrase})).status_code == 200
        assert (await client.get("/status", headers={"x-api-key": "wrong"})).status_code == 401
        assert (await client.post("/api/session", json={"passphrase": passphrase})).status_code == 201
        assert (await client.get("/status")).status_code == 200
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 421
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        assert (await client.get("/status")).status_code == 200
    first_start = server.log
    server.stop()
    server.start()
    assert passphrase not in server.log.removeprefix(first_start), "a passphrase is shown only when it is made"
