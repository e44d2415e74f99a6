"""Names a request by the route that took it: the dialect, and the path's template. What it does not know has one name,
so that nobody can make up new ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

from webui.core.telemetry.request_record import Route

_PAGE = Route("page", "(page)")
_NOWHERE = Route("none", "(none)")  # refused before a route was found, or there is none
_OWN = "Glasshouse"


class RouteNames:
    """`routes` are those of the API; all others that take a request are pages."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = list(routes)  # alive as long as their ids are asked for
        found = [
            each
            for each in iter_route_contexts(routes)
            if isinstance(each.original_route, APIRoute | APIWebSocketRoute)
        ]
        # A socket's route has no tags: it speaks what is spoken at its path otherwise.
        tags = {each.path: each.tags[0] for each in found if getattr(each, "tags", None)}
        self._known = {
            id(each.original_route): Route(_slug(tags.get(each.path, _OWN)), each.path or "") for each in found
        }

    def find(self, scope: Scope) -> Route:
        """The router has left there which route it chose."""
        if "endpoint" not in scope:
            return _NOWHERE
        return self._known.get(id(scope.get("route")), _PAGE)


def _slug(tag: str) -> str:
    """`LM Studio` → `lm_studio`."""
    return re.sub(r"[^a-z0-9]+", "_", str(tag).lower())
