"""The answer for API paths and methods that do not exist: JSON, before NiceGUI's page for lost people takes them."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class ApiFallback(BaseRoute):
    """Stands after the API's routes and before the mounted pages.

    Takes what begins like an API path, and a known path that is asked with another method.
    """

    def __init__(self, routes: list[BaseRoute], prefixes: tuple[str, ...]) -> None:
        self._routes = list(routes)
        self._prefixes = prefixes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and (scope["path"].startswith(self._prefixes) or self._is_known(scope))
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_known(scope):
            raise HTTPException(404)
        raise HTTPException(405, headers={"Allow": ", ".join(self._methods(scope))})

    def _is_known(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.PARTIAL for route in self._routes)

    def _methods(self, scope: Scope) -> list[str]:
        """What a known path takes."""
        asked = [(method, {**scope, "method": method}) for method in _METHODS]
        return [method for method, other in asked if any(each.matches(other)[0] is Match.FULL for each in self._routes)]
