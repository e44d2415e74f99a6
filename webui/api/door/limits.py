"""A limit for request bodies that are held in memory. Imported models are not: they go to disk piece by piece.

What anybody may send before signing in is short: a long JSON text costs memory and time even to refuse.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.errors import error_response
from webui.errors import MessageTooLarge

MAX_BODY_BYTES = 16_000_000
MAX_SIGN_IN_BYTES = 16 * 1024


class BodyLimit:
    """ASGI middleware. A body that says its length is refused at once, one that does not when it has grown too long."""

    def __init__(self, app: ASGIApp, *, exempt: tuple[str, ...], sign_in: str) -> None:
        self._app = app
        self._exempt = exempt
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        limit = MAX_SIGN_IN_BYTES if scope["path"] == self._sign_in else MAX_BODY_BYTES
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            refusal = error_response(MessageTooLarge(int(announced), limit), scope["path"], headers)
            await refusal(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:  # FastAPI lets only its own exceptions out of the reading of a body
                raise HTTPException(413, str(MessageTooLarge(received, limit)))
            return message

        await self._app(scope, receive_counted, send)
