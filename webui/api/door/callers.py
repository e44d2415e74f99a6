"""Who asks: this machine, a signed-in browser, a program with a key or with the passphrase, or nobody yet.

It reads a request and asks `Access` and `ApiKeys`; which route needs what is not known here.

- This machine needs nothing, unless keys are required. A proxy on it speaks for somebody else, and says so.
- A key that was made here is checked wherever it comes from, and its scopes and limits hold. Whatever else a program
  sends as its key (`sk-…`, `none`) is ignored where none is needed, as other local servers do.
- A page of an allowed origin may ask models; for more it needs a key, and a session in the same browser is not its own.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import Scope

from webui.api.door.hosts import is_allowed_host, is_loopback, own_names
from webui.api.door.scopes import Need
from webui.api.door.session_cookie import read_session
from webui.config import Settings
from webui.core.key_in_use import KeyInUse
from webui.core.keys import is_key
from webui.core.wire import INSIDE
from webui.errors import MissingScope, SignInRequired


class People(Protocol):
    """The part of `core.access.Access` that is asked here."""

    async def verify_key(self, key: str, address: str) -> None: ...

    async def is_session(self, token: str) -> bool: ...


class Keys(Protocol):
    """The part of `core.keys.ApiKeys` that is asked here."""

    def open(self, token: str) -> KeyInUse: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner` is what fairness counts by; None for `session` or `key`: it came without."""

    owner: str
    session: str | None = None
    key: KeyInUse | None = None
    is_guest: bool = False  #: a page of another origin

    def refuse_without(self, need: Need) -> None:
        """Raises MissingScope. Who is neither a key nor a guest may do everything."""
        if need == "any" or need == "open":  # noqa: PLR1714  # mypy does not narrow by a set
            return
        if self.key is not None and not self.key.key.may(need):
            raise MissingScope(need)
        if self.key is None and self.is_guest and need != "inference":
            raise MissingScope(need, has_key=False)


class Callers:
    """`people` and `keys` are asked for late: the Application opens with the server's lifespan."""

    def __init__(self, settings: Settings, people: Callable[[], People], keys: Callable[[], Keys]) -> None:
        self._people = people
        self._keys = keys
        self._asks_sign_in = settings.sign_in
        self._requires_key = settings.require_key
        self.own_names = own_names(socket.gethostname())

    async def identify(self, scope: Scope, headers: Headers, need: Need, *, is_guest: bool) -> Caller:
        """Raises SignInRequired, InvalidKey, WrongPassphrase or TooManyAttempts."""
        address = scope["client"][0] if scope.get("client") else ""
        token = None if need == "open" else read_key(headers)
        if token is not None and is_key(token):
            key = self._keys().open(token)
            return Caller(key.id, key=key, is_guest=is_guest)
        if self._is_this_machine(scope, address, headers):
            return Caller("this machine", is_guest=is_guest)
        if not self._asks_sign_in:
            return Caller(f"address {address}", is_guest=is_guest)
        if not is_guest and (session := read_session(headers)) and await self._people().is_session(session):
            return Caller(f"session {hashlib.sha256(session.encode()).hexdigest()[:16]}", session=session)
        if token is not None:
            await self._people().verify_key(token, address)
            return Caller(f"program {address}", is_guest=is_guest)
        if need != "open":
            raise SignInRequired
        return Caller(f"address {address}", is_guest=is_guest)

    def _is_this_machine(self, scope: Scope, address: str, headers: Headers) -> bool:
        """A proxy on this machine also comes from loopback, but speaks for somebody else and says so."""
        if INSIDE in scope.get("extensions", {}):
            return True
        if self._requires_key or not is_loopback(address) or is_forwarded(headers):
            return False
        return is_allowed_host(headers["host"], self.own_names)


def is_forwarded(headers: Headers) -> bool:
    return any(name == "forwarded" or name.startswith(("x-forwarded", "x-real-ip")) for name in headers)


def read_key(headers: Headers) -> str | None:
    """What a program sends as its key: OpenAI's way, Anthropic's, or Azure's."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value.strip() if scheme.lower() == "bearer" else ""
    key = key or headers.get("x-api-key") or headers.get("api-key") or ""
    return _as_text(key) if key else None


def _as_text(header: str) -> str:
    """A header arrives as Latin-1; most programs send what is beyond ASCII as UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header
