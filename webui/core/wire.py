"""The server's own HTTP stack, asked without a socket: every route, middleware and refusal as over the network.

An answer streams as it is made, and closing it is what hanging up is. It knows ASGI and no framework.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

import httpx

from webui.errors import InvalidRequest

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

LOOPBACK = ("127.0.0.1", 0)
_PATIENCE_SECONDS = 5.0
INSIDE = "glasshouse.inside"  #: among a scope's extensions, which no client can write: asked by the server itself


class Wire:
    """`client()` speaks to whatever `connect` was given; the routes do that when they are added."""

    def __init__(self) -> None:
        self._app: AsgiApp | None = None

    def connect(self, app: AsgiApp) -> None:
        self._app = app

    def client(self) -> httpx.AsyncClient:
        """A client that speaks for this server itself, so it needs no key. Raises InvalidRequest where no routes were
        added."""
        return self._open("http://localhost", LOOPBACK, {INSIDE: {}})

    def client_from(self, base_url: str, address: str) -> httpx.AsyncClient:
        """A client that is taken for a program at `address` that asks for `base_url`: keys and all. Raises as above."""
        return self._open(base_url, (address, 0), {})

    def _open(self, base_url: str, address: tuple[str, int], extensions: dict[str, Any]) -> httpx.AsyncClient:
        if self._app is None:
            raise InvalidRequest("This server has no API to ask.")
        transport = InProcess(self._app, address, extensions)
        return httpx.AsyncClient(transport=transport, base_url=base_url, timeout=httpx.Timeout(None))


class InProcess(httpx.AsyncBaseTransport):
    """httpx's own transport for ASGI gives an answer only when it is whole; this one streams."""

    def __init__(self, app: AsgiApp, address: tuple[str, int], extensions: dict[str, Any]) -> None:
        self._app = app
        self._more = {"client": address, "extensions": extensions}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _Call(self._app, _scope(request) | self._more, await request.aread())
        start = await call.start()
        return httpx.Response(start["status"], headers=start.get("headers", []), stream=call)


class _Call(httpx.AsyncByteStream):
    """One request on its way through the app, in a task of its own."""

    def __init__(self, app: AsgiApp, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._is_left = asyncio.Event()
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self._task.add_done_callback(lambda _: self._messages.put_nowait(None))

    async def start(self) -> Message:
        try:
            message = await self._messages.get()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if message is None:
            raise self._broken()
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._messages.get()) is not None:
            if data := message.get("body", b""):
                yield data
            if not message.get("more_body", False):
                return
        raise self._broken()

    async def aclose(self) -> None:
        """Hang up; an app that does not mind is ended."""
        self._is_left.set()
        await asyncio.wait({self._task}, timeout=_PATIENCE_SECONDS)
        self._task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # the app logs what went wrong in it
            await self._task

    def _broken(self) -> httpx.RemoteProtocolError:
        return httpx.RemoteProtocolError("The server ended the request without a whole answer.")

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._is_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self._messages.put_nowait(message)


def _scope(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    path, _, query = url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": path,
        "query_string": query,
        "server": (url.host, url.port),
        "root_path": "",
    }
