"""Server-sent events: a response that writes frames as they come and ends its source when the client is gone.

It knows nothing of dialects: the source yields ready frames, made by `frame` and `comment`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webui.api.errors import ClientGone, ServerStopping
from webui.api.hangup import run_while_connected

DONE = b"data: [DONE]\n\n"


def frame(payload: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def event_frame(event: dict[str, Any]) -> bytes:
    """An event whose SSE name is its type."""
    return f"event: {event['type']}\n".encode() + frame(event)


def comment(text: str) -> bytes:
    """A line that clients skip; it keeps proxies from closing a connection that has nothing to say yet."""
    return f": {text}\n\n".encode()


class EventStream(Response):
    """`frames` is closed within one step of the client's leaving. `farewell` is, or makes, the last frame if the server
    stops."""

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncGenerator[bytes, None], stopping: asyncio.Event, farewell: bytes | Callable[[], bytes]
    ) -> None:
        self._frames = frames
        self._stopping = stopping
        self._farewell = farewell
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        last = b""
        try:
            await run_while_connected(receive, self._stopping, self._write(send))
        except (ClientGone, OSError):
            return
        except ServerStopping:
            last = self._farewell if isinstance(self._farewell, bytes) else self._farewell()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _write(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            async for data in frames:
                await send({"type": "http.response.body", "body": data, "more_body": True})
