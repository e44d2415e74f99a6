"""The gate before every page, route and websocket: whom this server answers, and what they may ask.

1. The Host header must be ours, and a browser's Origin the same or an allowed one (else a foreign page could use this
   server through its visitor's browser).
2. This machine itself needs nothing. Everybody else signs in (a cookie) or sends a key (`callers`).
3. What the caller may do is looked up in one table (`scopes`); a key's limits hold from here to the answer's end
   (`keyed`).
4. A page's very first visitor may be let in without the passphrase, where the settings say so (`first_visitor`).
5. Whoever passes gets an identity in the request's state: `owner`, which the engine's fairness counts by, and `key`.

Everything is in memory: no request waits for the database here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.door.callers import Caller, Callers, Keys, People, is_forwarded
from webui.api.door.first_visitor import may_be_first_visitor, welcome
from webui.api.door.hosts import is_allowed_host, is_same_origin, origin_pattern
from webui.api.door.keyed import POLICY_VIOLATION, add_limits, run_under_key
from webui.api.door.scopes import SOCKET, Need, counts, need_of
from webui.api.errors import ForeignHost, error_response
from webui.config import Settings
from webui.core.key_in_use import KeyInUse
from webui.errors import ForbiddenOrigin, GlasshouseError, InvalidKey, RateLimited, SignInRequired


class Visitors(People, Protocol):
    """The part of `core.access.Access` that the gate asks."""

    async def admit_first(self, address: str, label: str) -> str | None: ...


class Gate:
    """ASGI middleware. `people` and `keys` are asked for late: the Application opens with the server's lifespan."""

    def __init__(
        self, app: ASGIApp, settings: Settings, people: Callable[[], Visitors], keys: Callable[[], Keys]
    ) -> None:
        self._app = app
        self._people = people
        self._callers = Callers(settings, people, keys)
        self._allowed_names = self._callers.own_names | {name.lower() for name in settings.allowed_hosts}
        self._allowed_origins = origin_pattern(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = scope.get("method", SOCKET)
        need = need_of(method, scope["path"], wants_page="text/html" in headers.get("accept", ""))
        try:
            is_guest = self._check_origin(headers)
            caller = await self._callers.identify(scope, headers, need, is_guest=is_guest)
            _note(caller, scope)
            caller.refuse_without(need)
        except GlasshouseError as error:
            if isinstance(error, SignInRequired) and (token := await self._admit_first(scope, headers)):
                await welcome(scope, token)(scope, receive, send)
            else:
                await _refuse(error, scope, receive, send)
            return
        if caller.key is not None:
            await self._let_in(caller.key, need, scope, receive, send)
            return
        if caller.session is not None and scope["type"] == "websocket":
            receive = self._until_signed_out(caller.session, receive, send)
        await self._app(scope, receive, send)

    async def _let_in(self, key: KeyInUse, need: Need, scope: Scope, receive: Receive, send: Send) -> None:
        is_counted = counts(scope.get("method", SOCKET), need)
        try:
            await run_under_key(self._app, key, scope, receive, send, is_counted=is_counted)
        except RateLimited as error:
            await _refuse(error, scope, receive, send, key)
        except InvalidKey as error:
            await _refuse(error, scope, receive, send)

    def _until_signed_out(self, token: str, receive: Receive, send: Send) -> Receive:
        """A page's socket lives for hours; its session may end before (signed out, passphrase changed).

        Asked with each message of the browser, and a silent one answers a ping every half minute.
        """

        async def receive_or_close() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive" or await self._people().is_session(token):
                return message
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

        return receive_or_close

    def _check_origin(self, headers: Headers) -> bool:
        """Whether a page of another origin asks, which is allowed to."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_allowed_host(host, self._allowed_names):
            raise ForeignHost(host)
        # Whatever the method: NiceGUI's socket answers plain GETs too, and to every origin.
        if origin is None or is_same_origin(origin, host):
            return False
        if not self._allowed_origins.fullmatch(origin):
            raise ForbiddenOrigin(origin)
        return True

    async def _admit_first(self, scope: Scope, headers: Headers) -> str | None:
        """A session for the very first browser. Never through a proxy: the whole world may be behind it."""
        if is_forwarded(headers) or not may_be_first_visitor(scope, headers):
            return None
        address = scope["client"][0] if scope.get("client") else ""
        return await self._people().admit_first(address, headers.get("user-agent", ""))


def _note(caller: Caller, scope: Scope) -> None:
    """Who asks, for routes, figures and logs. A socket over which much is asked calls `admit` for each request in it;
    an HTTP request has been admitted before its route hears of it."""
    state = scope.setdefault("state", {})
    state["owner"] = caller.owner
    state["key"] = None if caller.key is None else caller.key.key
    state["admit"] = nullcontext if caller.key is None else caller.key.admit


async def _refuse(
    error: GlasshouseError, scope: Scope, receive: Receive, send: Send, limited: KeyInUse | None = None
) -> None:
    headers = Headers(scope=scope)
    if scope["type"] == "websocket":
        await receive()  # the connect
        if "websocket.http.response" not in scope.get("extensions", {}):  # the program cannot read why, then
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.code})
            return
    response: Response = error_response(error, scope["path"], headers)
    if isinstance(error, SignInRequired) and _is_page_request(scope, headers):
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        response = RedirectResponse(f"/signin?next={quote(target, safe='')}", status_code=303)
    response.headers["Cache-Control"] = "no-store"
    if limited is not None:
        add_limits(response.headers, limited)
    await response(scope, receive, send)


def _is_page_request(scope: Scope, headers: Headers) -> bool:
    path: str = scope["path"]
    is_read = scope.get("method") in {"GET", "HEAD"} and "text/html" in headers.get("accept", "")
    return is_read and not path.startswith(("/v1/", "/api/", "/_nicegui"))
