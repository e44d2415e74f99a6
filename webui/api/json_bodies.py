"""Read a body as JSON even when the client did not say so, as `curl -d '{…}'` does and as other local servers allow.

Browsers could misuse that for requests across origins; the gate has refused those before.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

_UNDECLARED = ("", "application/x-www-form-urlencoded", "text/plain")


class AssumeJson:
    """ASGI middleware for the paths that take JSON only."""

    def __init__(self, app: ASGIApp, *, prefixes: tuple[str, ...]) -> None:
        self._app = app
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(self._prefixes):
            scope = {**scope, "headers": list(scope["headers"])}
            headers = MutableHeaders(scope=scope)
            if headers.get("content-type", "").split(";")[0].strip().lower() in _UNDECLARED:
                headers["Content-Type"] = "application/json"
        await self._app(scope, receive, send)
