"""How long a request's body may take to come: no pause longer than half a minute, and what is held in memory is whole
within some minutes. Slow headers, and clients that do not read, are `connections`' to end.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAUSE_SECONDS = 30.0
BODY_SECONDS = 300.0  # 16 MB over 0.5 Mbit/s

_TOO_SLOW = "The request's body did not come in time. Send it again, over a better connection or in smaller pieces."


class BodyTimeout:
    """ASGI middleware. `unhurried` bodies (imported models) may take as long as they like, without long pauses."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        unhurried: tuple[str, ...],
        pause_seconds: float = PAUSE_SECONDS,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._unhurried = unhurried
        self._pause_seconds = pause_seconds
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        last = clock() + (float("inf") if scope["path"].startswith(self._unhurried) else self._body_seconds)
        is_whole = False

        async def receive_in_time() -> Message:
            nonlocal is_whole
            if is_whole:  # what comes now is the hang-up, which may take for ever
                return await receive()
            try:
                async with asyncio.timeout_at(min(last, clock() + self._pause_seconds)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, _TOO_SLOW) from None
            is_whole = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)
