"""Browsers that are signed in, and links that sign one in: random tokens, kept in memory and (sessions) on disk by
their hashes. Who may get one is not decided here."""

from __future__ import annotations

import logging
import time

from webui.core.tokens import hash_token, make_token
from webui.errors import StoreError
from webui.store.sessions import SessionStore

_log = logging.getLogger(__name__)

PAIRING_SECONDS = 600.0
MAX_PAIRINGS = 100
SESSION_SECONDS = 180 * 86_400.0  #: a browser that was not seen for so long signs in again
_TOUCH_SECONDS = 86_400.0


class SignedIn:
    """The sessions of browsers. `await load()` comes first."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._seen: dict[str, float] = {}  # token hash → when it was last noted as seen (monotonic)

    async def load(self) -> None:
        """Read what is stored; forget browsers that were not seen for half a year."""
        await self._store.remove_unseen(since=time.time() - SESSION_SECONDS)
        self._seen = dict.fromkeys(await self._store.hashes(), 0.0)

    async def start(self, address: str, label: str) -> str:
        """The token of a new session."""
        token = make_token()
        await self._store.add(hash_token(token), label=label[:200], address=address)
        self._seen[hash_token(token)] = time.monotonic()
        return token

    async def start_first(self, address: str, label: str) -> str | None:
        """The token of the first session in the life of these data; None when it would not be the first."""
        token = make_token()
        if not await self._store.add_first(hash_token(token), label=label[:200], address=address):
            return None
        self._seen[hash_token(token)] = time.monotonic()
        return token

    async def is_session(self, token: str) -> bool:
        token_hash = hash_token(token)
        seen = self._seen.get(token_hash)
        if seen is None:
            return False
        now = time.monotonic()
        if seen == 0.0 or now - seen > _TOUCH_SECONDS:
            self._seen[token_hash] = now
            try:
                await self._store.touch(token_hash)
            except StoreError:  # on a full disk, say: no reason to keep anybody out
                _log.exception("That a session was used could not be noted")
        return True

    async def end(self, token: str) -> None:
        token_hash = hash_token(token)
        self._seen.pop(token_hash, None)
        await self._store.remove(token_hash)

    async def end_others(self, keep_token: str | None) -> None:
        keep = self.forget_others(keep_token)
        await self._store.remove_others(keep)

    def forget_others(self, keep_token: str | None) -> str | None:
        """In memory only: what is stored goes together with the passphrase. Returns the hash of the one to keep."""
        keep = None if keep_token is None else hash_token(keep_token)
        self._seen = {token_hash: seen for token_hash, seen in self._seen.items() if token_hash == keep}
        return keep


class Pairings:
    """Tokens for QR codes; each signs one browser in within ten minutes, and none outlives the server."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}  # token hash → when it ends (monotonic)

    def create(self) -> str:
        now = time.monotonic()
        self._ends = {token: end for token, end in self._ends.items() if end > now}
        while len(self._ends) >= MAX_PAIRINGS:
            del self._ends[next(iter(self._ends))]
        token = make_token()
        self._ends[hash_token(token)] = now + PAIRING_SECONDS
        return token

    def redeem(self, token: str) -> bool:
        """Whether it was good; it is not any more."""
        end = self._ends.pop(hash_token(token), None)
        return end is not None and end > time.monotonic()

    def clear(self) -> None:
        self._ends.clear()
