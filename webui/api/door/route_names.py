"""Names a request by the route that took it: the dialect, and the path's template. What it does not know has one name,
so that nobody can make up new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

from webui.core.telemetry.request_record import Route

_PAGE = Route("page", "(page)")
_NOWHERE = Route("none", "(none)")  # refused before a route was found, or there is none
_OF_PAGES = ("/signin", "/docs")
_DIALECTS = ("OpenAI", "Anthropic", "Ollama", "LM Studio", "llama.cpp")  # as the routers' tags have them


class RouteNames:
    """`routes` are those of the API; all others that take a request are pages."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = list(routes)  # alive as long as their ids are asked for
        found = [
            each
            for each in iter_route_contexts(routes)
            if isinstance(each.original_route, APIRoute | APIWebSocketRoute) and each.path not in _OF_PAGES
        ]
        self._known = {
            id(each.original_route): Route(_dialect(each.path or "", getattr(each, "tags", ())), each.path or "")
            for each in found
        }

    @property
    def names(self) -> list[Route]:
        return list(self._known.values())

    def find(self, scope: Scope) -> Route:
        """The router has left there which route it chose."""
        if "endpoint" not in scope:
            return _NOWHERE
        return self._known.get(id(scope.get("route")), _PAGE)


def _dialect(path: str, tags: Iterable[str | Enum]) -> str:
    """`LM Studio` → `lm_studio`. Some routers call themselves by what they do, and a socket's route has no tags."""
    named = next((each for each in _DIALECTS if each in tags), "OpenAI" if path.startswith("/v1/") else "Glasshouse")
    return re.sub(r"[^a-z]+", "_", named.lower())
