"""A request under a key: its limits are told in the answer, and it ends at once when the key is revoked.

It knows neither which key may do what nor how one is checked.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.errors import describe
from webui.api.ndjson import MEDIA_TYPE as LINES
from webui.api.ndjson import line
from webui.api.sse import frame
from webui.core.key_in_use import KeyInUse
from webui.errors import AccessError, InvalidKey

POLICY_VIOLATION = 1008


async def run_under_key(
    app: ASGIApp, key: KeyInUse, scope: Scope, receive: Receive, send: Send, *, is_counted: bool
) -> None:
    """Raises RateLimited, and InvalidKey when the key is revoked before the answer has begun."""
    answer = _Answer(send, key)
    with ExitStack() as limits:
        if is_counted:
            limits.enter_context(key.admit())
        else:
            key.touch()
        try:
            with key.revocable():
                await app(scope, receive, answer.send)
        except InvalidKey as error:
            if not answer.has_begun:
                raise
            with suppress(OSError):  # the client may be gone, too
                await answer.break_off(error, scope)


class _Answer:
    """What goes out: it gets the headers of the limits, and a last word where it is broken off."""

    def __init__(self, send: Send, key: KeyInUse) -> None:
        self._send = send
        self._key = key
        self._media_type = ""
        self.has_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            add_limits(MutableHeaders(scope=message), self._key)
            self._media_type = Headers(raw=message["headers"]).get("content-type", "").split(";")[0]
        elif message["type"] == "websocket.accept":
            self.has_begun = True
        await self._send(message)

    async def break_off(self, error: AccessError, scope: Scope) -> None:
        """Streams end with the error in their dialect's words; what else has begun is cut, and cannot look whole."""
        if scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.code})
            return
        last = _last_words(self._media_type, error, scope)
        if last is not None:
            await self._send({"type": "http.response.body", "body": last, "more_body": False})


def _last_words(media_type: str, error: AccessError, scope: Scope) -> bytes | None:
    body = describe(error, scope["path"], Headers(scope=scope))
    if media_type == LINES:
        return line(body)
    if media_type != "text/event-stream":
        return None
    name = f"event: {body['type']}\n".encode() if "type" in body else b""  # Anthropic's events have names
    return name + frame(body)


def add_limits(headers: MutableHeaders, key: KeyInUse) -> None:
    """`x-ratelimit-limit-requests`, `-remaining-` and `-reset-`, and the same for tokens, as OpenAI has them."""
    for name, allowance in key.allowances.items():
        headers[f"x-ratelimit-limit-{name}"] = str(allowance.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(allowance.remaining)
        headers[f"x-ratelimit-reset-{name}"] = f"{allowance.reset_seconds:.3f}s"
