"""API keys of programs in SQLite: what each may do, and what it has used.

It knows hashes only: a key in clear text does not come this far (`core/keys.py` makes and shows it once).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from webui.store.database import Database
from webui.types import Value

_log = logging.getLogger(__name__)

#: What a key may do: ask models; load, fetch and delete them; everything, keys and chats included.
KeyScope = Literal["inference", "models", "admin"]


class KeyLimits(Value, frozen=True):
    """How much a key may ask; None: as much as it likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None  #: of prompts and answers together
    concurrent_requests: int | None = None


class KeyUsage(Value, frozen=True):
    """What was used with a key, all in all or since it was last written down."""

    num_requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    used_at: float | None = None  #: Unix seconds

    def __add__(self, more: KeyUsage) -> KeyUsage:
        return KeyUsage(
            num_requests=self.num_requests + more.num_requests,
            prompt_tokens=self.prompt_tokens + more.prompt_tokens,
            generated_tokens=self.generated_tokens + more.generated_tokens,
            used_at=max(self.used_at or 0.0, more.used_at or 0.0) or None,
        )


class ApiKey(Value, frozen=True):
    """One key, without its secret."""

    id: str
    name: str
    hint: str  #: its beginning and end, so that people know it again
    scopes: tuple[KeyScope, ...]
    created_at: float  #: Unix seconds
    limits: KeyLimits = KeyLimits()
    expires_at: float | None = None
    usage: KeyUsage = KeyUsage()

    def may(self, scope: KeyScope) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def is_expired(self, now: float | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (time.time() if now is None else now)


class KeyStore:
    """Keys by the SHA-256 of their token."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, ApiKey]:
        """Every key under its token's hash, in the order in which they were made."""
        rows = await self._database.fetch_all(
            "SELECT token_hash, id, name, hint, scopes, limits, created_at, expires_at, "
            "num_requests, prompt_tokens, generated_tokens, used_at FROM api_keys ORDER BY created_at, rowid"
        )
        keys: dict[str, ApiKey] = {}
        for row in rows:
            try:
                keys[row[0]] = _key(tuple(row))
            except msgspec.MsgspecError as error:
                _log.warning("The stored API key %s is damaged (%s): it opens nothing", row[1], error)
        return keys

    async def add(self, token_hash: str, key: ApiKey) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO api_keys (id, token_hash, name, hint, scopes, limits, created_at, expires_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id,
                    token_hash,
                    key.name,
                    key.hint,
                    msgspec.json.encode(key.scopes).decode(),
                    msgspec.json.encode(key.limits).decode(),
                    key.created_at,
                    key.expires_at,
                ),
            )

    async def remove(self, key_id: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM api_keys WHERE id = ?", (key_id,))

    async def add_usage(self, used: Iterable[tuple[str, KeyUsage]]) -> None:
        """Add to what keys have used, all of them in one transaction."""
        async with self._database.transaction() as connection:
            await connection.executemany(
                "UPDATE api_keys SET num_requests = num_requests + ?, prompt_tokens = prompt_tokens + ?, "
                "generated_tokens = generated_tokens + ?, used_at = max(coalesce(used_at, 0), ?) WHERE id = ?",
                [
                    (usage.num_requests, usage.prompt_tokens, usage.generated_tokens, usage.used_at or 0.0, key_id)
                    for key_id, usage in used
                ],
            )


def _key(row: tuple[Any, ...]) -> ApiKey:
    _, key_id, name, hint, scopes, limits, created_at, expires_at, num_requests, prompt, generated, used_at = row
    return ApiKey(
        id=key_id,
        name=name,
        hint=hint,
        scopes=msgspec.json.decode(scopes, type=tuple[KeyScope, ...]),
        limits=msgspec.json.decode(limits, type=KeyLimits),
        created_at=created_at,
        expires_at=expires_at,
        usage=KeyUsage(num_requests=num_requests, prompt_tokens=prompt, generated_tokens=generated, used_at=used_at),
    )
