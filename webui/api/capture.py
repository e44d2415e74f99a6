"""Keeps API requests for the inspector, as they go by: one middleware before the gate, so that refusals are seen too.

While the inspector is off it costs one look at a flag. What is kept is bounded by `core.exchange`; keys and cookies are
taken out here, before anything is kept. It knows which paths programs ask for and in which dialect; pages, `/manage`
and uploads are not looked at.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.core.exchange import MAX_BODY_BYTES, Arrived, Exchange
from webui.core.inspector import Inspector, hide_in_query, hide_secrets

_NOT_OF_PROGRAMS = ("/api/session", "/api/uploads", "/api/conversations", "/api/blobs/")
_PREFIXES = (
    ("/v1/messages", "Anthropic"),
    ("/v1/responses", "Responses"),
    ("/v1/", "OpenAI"),
    ("/api/v0/", "LM Studio"),
    ("/api/v1/", "LM Studio"),
    ("/api/", "Ollama"),
    ("/models/", "llama.cpp"),
    ("/slots", "llama.cpp"),
    ("/generate", "plain"),
    ("/chat/completions", "OpenAI"),
    ("/responses", "Responses"),
)
_PATHS = dict.fromkeys(
    ("/completion", "/completions", "/tokenize", "/detokenize", "/apply-template", "/infill", "/props", "/embedding"),
    "llama.cpp",
) | dict.fromkeys(("/chat", "/chat/stream", "/embeddings", "/info"), "plain")


def dialect_of(path: str) -> str | None:
    """Which dialect a program speaks that asks for this path; None for what is no program's."""
    if path.startswith(_NOT_OF_PROGRAMS):
        return None
    known = _PATHS.get(path)
    return known or next((dialect for prefix, dialect in _PREFIXES if path.startswith(prefix)), None)


class Capture:
    """ASGI middleware. `inspector` is asked for late: the Application opens with the server's lifespan."""

    def __init__(self, app: ASGIApp, inspector: Callable[[], Inspector]) -> None:
        self._app = app
        self._inspector = inspector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or not self._inspector().is_on:
            await self._app(scope, receive, send)
            return
        dialect = dialect_of(scope["path"])
        exchange = self._inspector().begin(_arrived(scope, dialect)) if dialect else None
        if exchange is None:
            await self._app(scope, receive, send)
            return
        tap = _Tap(exchange, receive, send)
        try:
            with exchange.current():
                await self._app(scope, tap.receive, tap.send)
        except asyncio.CancelledError:
            exchange.is_cut = exchange.is_running
            raise
        except BaseException:
            tap.is_broken = True
            raise
        finally:
            exchange.key_name = _key_name(scope)
            tap.finish()


class _Tap:
    """Both directions of one connection, told to an exchange as they go by."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self.is_broken = False
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._inflate: Callable[[bytes], bytes] | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        match message["type"]:
            case "http.request":
                self._exchange.receive(message.get("body", b""))
            case "websocket.receive":
                self._exchange.receive(_frame(message))
            case "http.disconnect" if self._exchange.is_running:
                self._exchange.is_cut = True
        return message

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                headers = Headers(raw=message.get("headers", []))
                if headers.get("content-encoding") == "gzip":
                    self._inflate = _inflater()
                self._exchange.answer(message["status"], hide_secrets(headers.items()))
            case "http.response.body":
                data = message.get("body", b"")
                self._exchange.send(self._inflate(data) if self._inflate else data)
                if not message.get("more_body", False):
                    self.finish()
            case "websocket.accept":
                self._exchange.answer(101, ())
            case "websocket.send":
                self._exchange.send(_frame(message))
            case "websocket.close":
                self.finish()
        await self._send(message)

    def finish(self) -> None:
        if not self._exchange.is_running:
            return
        if self.is_broken and self._exchange.status is None:
            self._exchange.status = 500
        self._exchange.finish()


def _arrived(scope: Scope, dialect: str) -> Arrived:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Arrived(
        method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
        path=scope["path"],
        query=hide_in_query(scope["query_string"].decode("latin-1")),
        dialect=dialect,
        headers=hide_secrets(headers),
        address=scope["client"][0] if scope.get("client") else "",
    )


def _key_name(scope: Scope) -> str:
    """What the key is called that the gate let in; empty for browsers, this machine and the passphrase."""
    return str(getattr(scope.get("state", {}).get("key"), "name", ""))


def _frame(message: Message) -> bytes:
    text = message.get("text")
    data: bytes = text.encode() if text is not None else message.get("bytes") or b""
    return data + b"\n"


def _inflater() -> Callable[[bytes], bytes]:
    """What was said before it was compressed; no more of it than is kept."""
    inflate = zlib.decompressobj(wbits=31)

    def said(data: bytes) -> bytes:
        try:
            return inflate.decompress(data, MAX_BODY_BYTES + 1)
        except zlib.error:
            return b""

    return said
