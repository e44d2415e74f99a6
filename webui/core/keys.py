"""API keys of programs: made by a person, shown once, stored as hashes, revoked at once.

Everything that a request needs is in memory, so checking a key costs one hash. What was used is written down every few
seconds. It knows neither HTTP nor which route needs which scope.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from typing import get_args

from webui.core.key_in_use import KeyInUse
from webui.core.passphrase import LETTERS
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.core.tokens import TOKEN_LENGTH, hash_token, make_token
from webui.errors import InvalidKey, InvalidRequest, StoreError, UnknownKey
from webui.store.keys import ApiKey, KeyLimits, KeyScope, KeyStore
from webui.types import Usage

_log = logging.getLogger(__name__)

TOKEN_PREFIX = "gh-"  # noqa: S105  # by which people and programs that look for leaked secrets know one
MAX_KEYS = 1000
MAX_NAME_LENGTH = 60
WRITE_SECONDS = 5.0  #: what a kill may lose of the counts
DAY_SECONDS = 86_400.0
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")


def is_key(text: str) -> bool:
    """Whether it was made here, now or long ago. What other services call a key, and passphrases, are not."""
    return _TOKEN.fullmatch(text) is not None


class ApiKeys:
    """`await load()` comes first, `await close()` writes down what was used."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed: Signal[None] = Signal()
        self._store = store
        self._clock = clock
        self._by_hash: dict[str, KeyInUse] = {}
        self._by_id: dict[str, KeyInUse] = {}  # without what was lent
        self._endings: list[Callable[[str], Awaitable[None]]] = []
        self._making = asyncio.Lock()
        self._tasks = OwnedTasks()
        self._writing: asyncio.TimerHandle | None = None

    async def load(self) -> None:
        for token_hash, key in (await self._store.all()).items():
            self._hold(token_hash, key)

    async def close(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        await self._tasks.drain(WRITE_SECONDS)
        await self._write_down()

    # --- for those who manage keys ---------------------------------------------------------------------------------

    def all(self) -> list[ApiKey]:
        """In the order in which they were made, with what was used until now."""
        return [held.used_so_far() for held in self._by_id.values()]

    def get(self, key_id: str) -> ApiKey:
        """Raises UnknownKey."""
        if (held := self._by_id.get(key_id)) is None:
            raise UnknownKey(key_id)
        return held.used_so_far()

    async def create(
        self,
        name: str,
        scopes: Collection[KeyScope],
        *,
        limits: KeyLimits | None = None,
        expires_days: float | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which nobody can show again. Raises InvalidRequest."""
        name = " ".join(name.split())
        async with self._making:
            self._refuse(name, scopes, limits or KeyLimits(), expires_days)
            now = time.time()
            token = TOKEN_PREFIX + make_token()
            key = ApiKey(
                id="key_" + "".join(secrets.choice(LETTERS) for _ in range(10)),
                name=name,
                hint=f"{token[:6]}…{token[-4:]}",
                scopes=tuple(scope for scope in SCOPES if scope in scopes),
                created_at=now,
                limits=limits or KeyLimits(),
                expires_at=None if expires_days is None else now + expires_days * DAY_SECONDS,
            )
            await self._store.add(hash_token(token), key)
            self._hold(hash_token(token), key)
        _log.info("The API key %s was made: %s", key.id, ", ".join(key.scopes))
        self.changed.emit(None)
        return key, token

    async def revoke(self, key_id: str) -> None:
        """Nothing is asked with it from now on, and what runs under it ends. Raises UnknownKey."""
        held = self._by_id.get(key_id)
        if held is None:
            raise UnknownKey(key_id)
        await self._store.remove(key_id)  # first: a key that is gone here only would be back after a restart
        self._by_id.pop(key_id, None)
        self._by_hash = {token_hash: each for token_hash, each in self._by_hash.items() if each is not held}
        held.revoke()
        for end in self._endings:
            await end(key_id)
        _log.info("The API key %s was revoked", key_id)
        self.changed.emit(None)

    def when_revoked(self, end: Callable[[str], Awaitable[None]]) -> None:
        """Call `end` with the id of each key that is revoked from now on: what runs for it without a connection."""
        self._endings.append(end)

    def lend(self) -> str:
        """A secret that may do everything while this process lives: for the terminal of whoever runs it."""
        token = TOKEN_PREFIX + make_token()
        key = ApiKey(id="terminal", name="terminal", hint="", scopes=("admin",), created_at=time.time())
        self._by_hash[hash_token(token)] = KeyInUse(key, on_use=lambda: None, clock=self._clock)
        return token

    def _refuse(self, name: str, scopes: Collection[KeyScope], limits: KeyLimits, expires_days: float | None) -> None:
        if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            raise InvalidRequest(f"Give the key a name of 1 to {MAX_NAME_LENGTH} characters.", param="name")
        if any(held.key.name.casefold() == name.casefold() for held in self._by_id.values()):
            raise InvalidRequest(f"There is a key named “{name}” already. Take another name.", param="name")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise InvalidRequest(f"A key needs one or more of the scopes {', '.join(SCOPES)}.", param="scopes")
        if expires_days is not None and not 0 < expires_days <= 3650:
            raise InvalidRequest("A key is valid for up to 3,650 days, or for ever.", param="expires_days")
        numbers = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
        if any(number is not None and not 1 <= number <= 10**9 for number in numbers):
            raise InvalidRequest("A limit is a number from 1 on; leave it away for none.", param="limits")
        if len(self._by_id) >= MAX_KEYS:
            raise InvalidRequest(f"There are {MAX_KEYS:,} keys. Revoke some that nobody uses.")

    # --- for the gate ----------------------------------------------------------------------------------------------

    def open(self, token: str) -> KeyInUse:
        """The key of this secret. Raises InvalidKey. A guess costs no more than any request, and there are 2^256."""
        held = self._by_hash.get(hash_token(token))
        if held is None:
            raise InvalidKey
        if held.key.is_expired():
            raise InvalidKey("expired")
        return held

    def charge(self, owner: str, usage: Usage) -> None:
        """Tokens that were computed for somebody; people's are not counted here."""
        if (held := self._by_id.get(owner)) is not None:
            held.charge(usage.prompt_tokens, usage.completion_tokens)

    # --- writing down what was used --------------------------------------------------------------------------------

    def _hold(self, token_hash: str, key: ApiKey) -> None:
        held = KeyInUse(key, on_use=self._write_soon, clock=self._clock)
        self._by_hash[token_hash] = self._by_id[key.id] = held

    def _write_soon(self) -> None:
        if self._writing is None:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_later(WRITE_SECONDS, lambda: self._tasks.start(self._write_down()))

    async def _write_down(self) -> None:
        self._writing = None
        taken = [(held, held.take_unwritten()) for held in self._by_id.values()]
        used = [(held.id, usage) for held, usage in taken if usage.used_at is not None]
        if not used:
            return
        try:
            await self._store.add_usage(used)
        except StoreError:
            _log.exception("What API keys have used could not be written down; it is tried again")
            for held, usage in taken:
                held.keep(usage)
            self._write_soon()
