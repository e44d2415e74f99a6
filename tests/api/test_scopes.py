"""The table of scopes: every route of the API stands in it, on purpose."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts

from webui.api.door.scopes import SOCKET, TABLE, find_line, need_of


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path of the API, with something in place of parameters."""
    found = []
    for each in iter_route_contexts(app.router.routes):
        route = each.original_route
        path = (each.path or "").replace("{", "").replace("}", "")
        if isinstance(route, APIRoute):
            found += [(method, path) for method in route.methods or ()]
        elif isinstance(route, APIWebSocketRoute):
            found.append((SOCKET, path))
    return found


def test_somebody_has_decided_about_every_route(app: FastAPI) -> None:
    routes = routes_of(app)
    assert len(routes) > 60
    missing = [f"{method} {path}" for method, path in routes if find_line(method, path) is None]
    assert not missing, f"api/door/scopes.py has no line for {', '.join(missing)}, so only admin keys may use them."


def test_every_line_is_about_something(app: FastAPI) -> None:
    routes = routes_of(app)
    routes.append(("GET", app.openapi_url or ""))
    used = {find_line(method, path) for method, path in routes}
    idle = [line.path for line in TABLE if line not in used and line.need != "open"]
    assert not idle, f"api/door/scopes.py names what is not there: {', '.join(idle)}"


@pytest.mark.parametrize("path", ["/", "/c/7", "/inspect", "/_nicegui_ws/socket.io", "/made/up"])
def test_what_nobody_has_decided_about_needs_everything(path: str) -> None:
    assert {need_of(method, path) for method in ("GET", "POST", SOCKET)} == {"admin"}


def test_a_page_at_a_programs_address_is_a_page() -> None:
    assert (need_of("GET", "/models"), need_of("GET", "/models", wants_page=True)) == ("any", "admin")


@pytest.mark.parametrize("path", ["/manage/keys", "/manage/keys/", "/manage/keys/key_1", "/manage/hub/token"])
def test_keys_and_tokens_are_not_managed_with_the_scope_for_models(path: str) -> None:
    assert {need_of(method, path) for method in ("GET", "POST", "PUT", "DELETE")} == {"admin"}
