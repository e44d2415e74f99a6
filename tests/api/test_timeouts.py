"""Who sends or reads too slowly is not waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.api.door.connections import BoundedHttp
from webui.api.door.timeouts import BodyTimeout
from webui.api.errors import add_error_handlers


class Impatient(BoundedHttp):
    header_seconds = 0.1
    linger_seconds = 0.1
    stall_seconds = 0.1


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port of an impatient server."""
    config = uvicorn.Config(app, http=Impatient, lifespan="off", log_config=None, timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


def slow_app(*, unhurried: tuple[str, ...] = ()) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/body")
    async def read(request: Request) -> int:
        return len(await request.body())

    add_error_handlers(app)
    app.add_middleware(BodyTimeout, unhurried=unhurried, pause_seconds=0.2, body_seconds=0.4)
    return app


async def trickle(port: int, pause: float) -> bytes:
    """What comes back to somebody who sends a body of ten letters, one after each pause."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    for _ in range(10):
        if (await asyncio.wait({answer}, timeout=pause))[0]:
            break
        writer.write(b"x")
    head = await asyncio.wait_for(answer, 5)
    writer.close()
    return head


@pytest.mark.parametrize("pause", [1.0, 0.08], ids=["a pause", "a trickle"])
async def test_a_body_that_does_not_come_is_not_waited_for(pause: float) -> None:
    async with serving(slow_app()) as port:
        assert b" 408 " in await trickle(port, pause)


async def test_an_imported_model_may_take_its_time() -> None:
    async with serving(slow_app(unhurried=("/v1/",))) as port:
        assert b" 200 " in await trickle(port, 0.08)


async def closed_after(port: int, *sent: bytes) -> bytes:
    """What a connection hears, until it is closed, that sends this and then nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    heard = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return heard


GET = b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_headers_that_trickle_are_not_waited_for_on_a_used_connection_either() -> None:
    async with serving(slow_app()) as port:
        heard = await closed_after(port, GET, b"GET / HTTP/1.1\r\nHo")
    assert heard.count(b"HTTP/1.1 404") == 1


async def test_nor_is_the_rest_of_a_body_whose_request_was_answered() -> None:
    async with serving(slow_app()) as port:
        post = b"POST /v1/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin"
        heard = await closed_after(port, post)
    assert heard.count(b"HTTP/1.1 404") == 1


async def test_a_used_connection_stays_open_for_its_keep_alive() -> None:
    async with serving(slow_app()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            await reader.readuntil(b"}}")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1000), 0.3)  # three times as long as an unfinished request may take
        writer.close()


async def test_a_client_that_never_reads_ends_what_is_written_for_it() -> None:
    has_ended = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await until_gone(send, receive)
        finally:
            has_ended.set()

    async def until_gone(send: Send, receive: Receive) -> None:
        await receive()
        gone = asyncio.create_task(wait_for_disconnect(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async def wait_for_disconnect(receive: Callable[[], Awaitable[object]]) -> None:
        await receive()

    async with serving(flood) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(GET)
            await asyncio.wait_for(has_ended.wait(), 5)
