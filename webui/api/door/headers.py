"""Headers that tell the browser what no page of ours does, so that it refuses it when an answer of a model tries.

Scripts run only from this server. The pages of NiceGUI carry inline scripts: each gets a nonce that is new with every
page, so that an injected one does not run. `unsafe-eval` stays, because NiceGUI's method calls are evaluated strings.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
}
_PAGE_MARK = "X-NiceGUI-Content"


def content_policy(script_source: str = "") -> str:
    return (
        f"default-src 'self'; script-src 'self'{script_source}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


class SecurityHeaders:
    """Outermost: every response gets the headers, the gate's refusals too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _FIXED.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", content_policy())
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class PageNonce:
    """Gives the inline scripts of NiceGUI's pages their nonce. Stands inside of the compression.

    Only the page's own template holds literal `<script` tags: what elements carry is escaped JSON.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def send_with_nonce(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and MutableHeaders(scope=message).get(_PAGE_MARK) == "page":
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    marked = _with_nonce(start, bytes(body))
                    await send(start)
                    await send({"type": "http.response.body", "body": marked})

        await self._app(scope, receive, send_with_nonce)


def _with_nonce(start: Message, body: bytes) -> bytes:
    """The page with a nonce in every script tag; the headers in `start` are made to fit."""
    nonce = secrets.token_urlsafe(16)
    marked = body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
    headers = MutableHeaders(scope=start)
    headers["Content-Security-Policy"] = content_policy(f" 'nonce-{nonce}' 'unsafe-eval'")
    if "content-length" in headers:
        headers["Content-Length"] = str(len(marked))
    return marked
