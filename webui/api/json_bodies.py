"""Read a body as JSON even when the client did not say so, as `curl -d '{…}'` does and as other local servers allow.

Browsers could misuse that for requests across origins; the gate has refused those before.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

_MANAGE = ("/manage/",)
_DELETED_BY_BODY = "/api/delete"
_UNDECLARED = ("", "application/x-www-form-urlencoded", "text/plain")


class AssumeJson:
    """ASGI middleware for the paths that take JSON only."""

    def __init__(self, app: ASGIApp, *, prefixes: tuple[str, ...]) -> None:
        self._app = app
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._takes_json(scope["method"], scope["path"]):
            scope["headers"] = list(scope["headers"])  # in place: who stands before this reads the route from it later
            headers = MutableHeaders(scope=scope)
            if headers.get("content-type", "").split(";")[0].strip().lower() in _UNDECLARED:
                headers["Content-Type"] = "application/json"
        await self._app(scope, receive, send)

    def _takes_json(self, method: str, path: str) -> bool:
        """Pieces of an import come by PATCH and are no JSON; one route is asked to DELETE what its body names."""
        if method == "DELETE":
            return path == _DELETED_BY_BODY
        return path.startswith(self._prefixes if method == "POST" else _MANAGE) and method in {"POST", "PUT", "PATCH"}
