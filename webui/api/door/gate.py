"""The gate before every page, route and websocket: whom this server answers, and who asks.

1. The Host header must be ours, and a browser's Origin must be the same (else a foreign page could use this server).
2. This machine itself needs nothing. Everybody else signs in (a cookie) or sends the passphrase as a key.
3. A page's very first visitor may be let in without it, where the settings say so (`first_visitor`).
4. Whoever passes gets an identity in the request's state (`owner`), which the engine's fairness counts by.

It knows sign-in only through three questions to `Access`; it knows no routes but the few that are open.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.door.first_visitor import may_be_first_visitor, welcome
from webui.api.door.hosts import is_allowed_host, is_loopback, is_same_origin, own_names
from webui.api.door.session_cookie import read_session
from webui.api.errors import ForeignHost, error_response
from webui.config import Settings
from webui.errors import ForbiddenOrigin, GlasshouseError, SignInRequired

_PROBES = ("/health", "/health/live", "/health/ready", "/v1/health")
_OPEN_PATHS = frozenset({"/signin", *_PROBES, "/favicon.ico", "/manifest.webmanifest"})
_POLICY_VIOLATION = 1008


class Keys(Protocol):
    """The part of `core.access.Access` that the gate asks."""

    async def verify_key(self, key: str, address: str) -> None: ...

    async def is_session(self, token: str) -> bool: ...

    async def admit_first(self, address: str, label: str) -> str | None: ...


class Gate:
    """ASGI middleware. `keys` is asked for late: the Application opens with the server's lifespan."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Callable[[], Keys]) -> None:
        self._app = app
        self._keys = keys
        self._asks_sign_in = settings.sign_in
        self._own_names = own_names(socket.gethostname())
        self._allowed_names = self._own_names | {name.lower() for name in settings.allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            scope.setdefault("state", {})["owner"] = await self._identify(scope, headers)
        except GlasshouseError as error:
            if isinstance(error, SignInRequired) and (token := await self._admit_first(scope, headers)):
                await welcome(scope, token)(scope, receive, send)
            else:
                await self._refuse(error, scope, headers, receive, send)
            return
        if scope["type"] == "websocket" and scope["state"]["owner"].startswith("session "):
            receive = self._until_signed_out(read_session(headers) or "", receive, send)
        await self._app(scope, receive, send)

    def _until_signed_out(self, token: str, receive: Receive, send: Send) -> Receive:
        """A page's socket lives for hours; its session may end before (signed out, passphrase changed).

        Asked with each message of the browser, and a silent one answers a ping every half minute.
        """

        async def receive_or_close() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive" or await self._keys().is_session(token):
                return message
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}

        return receive_or_close

    def _check_host(self, headers: Headers) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_allowed_host(host, self._allowed_names):
            raise ForeignHost(host)
        # Whatever the method: NiceGUI's socket answers plain GETs too, and to every origin.
        if origin is not None and not is_same_origin(origin, host):
            raise ForbiddenOrigin(origin)

    async def _identify(self, scope: Scope, headers: Headers) -> str:
        """Who asks. Raises SignInRequired, WrongPassphrase or TooManyAttempts."""
        address = scope["client"][0] if scope.get("client") else ""
        if self._is_this_machine(address, headers):
            return "this machine"
        if not self._asks_sign_in:
            return f"address {address}"
        if (token := read_session(headers)) and await self._keys().is_session(token):
            return f"session {hashlib.sha256(token.encode()).hexdigest()[:16]}"
        if key := _read_key(headers):
            await self._keys().verify_key(key, address)
            return f"key {address}"
        if not _is_open(scope):
            raise SignInRequired
        return f"address {address}"

    def _is_this_machine(self, address: str, headers: Headers) -> bool:
        """A proxy on this machine also comes from loopback, but speaks for somebody else and says so."""
        return is_loopback(address) and not _is_forwarded(headers) and is_allowed_host(headers["host"], self._own_names)

    async def _admit_first(self, scope: Scope, headers: Headers) -> str | None:
        """A session for the very first browser. Never through a proxy: the whole world may be behind it."""
        if _is_forwarded(headers) or not may_be_first_visitor(scope, headers):
            return None
        address = scope["client"][0] if scope.get("client") else ""
        return await self._keys().admit_first(address, headers.get("user-agent", ""))

    async def _refuse(
        self, error: GlasshouseError, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            await receive()  # the connect
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})
            return
        response: Response = error_response(error, scope["path"], headers)
        if isinstance(error, SignInRequired) and _is_page_request(scope, headers):
            query = scope["query_string"].decode("latin-1")
            target = scope["path"] + (f"?{query}" if query else "")
            response = RedirectResponse(f"/signin?next={quote(target, safe='')}", status_code=303)
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)


def _is_forwarded(headers: Headers) -> bool:
    return any(name == "forwarded" or name.startswith(("x-forwarded", "x-real-ip")) for name in headers)


def _read_key(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value.strip() if scheme.lower() == "bearer" and value.strip() else headers.get("x-api-key")
    return None if key is None else _as_text(key)


def _as_text(header: str) -> str:
    """A header arrives as Latin-1; most programs send what is beyond ASCII as UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header


def _is_open(scope: Scope) -> bool:
    """What works before sign-in: the sign-in page, its files, and the sign of life."""
    if scope["type"] != "http":
        return False
    path: str = scope["path"]
    method: str = scope["method"]
    if path == "/api/session":
        return method == "POST"
    return method in {"GET", "HEAD"} and (path in _OPEN_PATHS or path.startswith("/static/"))


def _is_page_request(scope: Scope, headers: Headers) -> bool:
    path: str = scope["path"]
    method: str = scope["method"]
    is_read = method in {"GET", "HEAD"} and "text/html" in headers.get("accept", "")
    return is_read and not path.startswith(("/v1/", "/api/", "/_nicegui"))
