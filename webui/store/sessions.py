"""Browsers that signed in, and the hash of the passphrase, in SQLite.

It knows hashes only: neither a token nor a passphrase in clear text comes this far (`core` keeps those).
"""

from __future__ import annotations

import time

import aiosqlite

from webui.store.database import Database

# With chats in it a data directory is somebody's already, who may never have had to sign in.
_IS_NEW = "NOT EXISTS (SELECT 1 FROM first_visit) AND NOT EXISTS (SELECT 1 FROM conversations)"


class SessionStore:
    """Sessions by the hash of their token, and the one passphrase hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hashes(self, *, seen_since: float = 0.0) -> set[str]:
        """The token hashes of all sessions that were seen since then (Unix seconds)."""
        rows = await self._database.fetch_all("SELECT token_hash FROM sessions WHERE seen_at >= ?", (seen_since,))
        return {row[0] for row in rows}

    async def add(self, token_hash: str, *, label: str, address: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("INSERT OR IGNORE INTO first_visit VALUES (1)")
            await _insert(connection, token_hash, label, address)

    async def is_new(self) -> bool:
        """Whether these data are nobody's yet: no sign-in ever, no chosen passphrase, no chats."""
        row = await self._database.fetch_one(f"SELECT {_IS_NEW}")
        return row is not None and bool(row[0])

    async def add_first(self, token_hash: str, *, label: str, address: str) -> bool:
        """Add a session only while these data are new, which they are not any more then; False when they were not."""
        async with self._database.transaction() as connection:
            claim = await connection.execute(f"INSERT INTO first_visit SELECT 1 WHERE {_IS_NEW}")
            if claim.rowcount == 1:
                await _insert(connection, token_hash, label, address)
            return claim.rowcount == 1

    async def touch(self, token_hash: str) -> None:
        """Note that the session was used just now."""
        async with self._database.transaction() as connection:
            await connection.execute("UPDATE sessions SET seen_at = ? WHERE token_hash = ?", (time.time(), token_hash))

    async def remove(self, token_hash: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM sessions WHERE token_hash = ?", (token_hash,))

    async def remove_others(self, keep_token_hash: str | None) -> None:
        """End every session but the one to keep."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM sessions WHERE token_hash IS NOT ?", (keep_token_hash,))

    async def remove_unseen(self, *, since: float) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM sessions WHERE seen_at < ?", (since,))

    async def passphrase_hash(self) -> str | None:
        row = await self._database.fetch_one("SELECT hash FROM passphrase")
        return None if row is None else str(row[0])

    async def replace_passphrase(
        self, passphrase_hash: str, *, keep_token_hash: str | None = None, is_chosen: bool = True
    ) -> None:
        """Store another passphrase hash and end every session but the one to keep, in one step.

        Whoever chooses a passphrase has the data: they are not new any more. The one made at first use is not chosen.
        """
        async with self._database.transaction() as connection:
            if is_chosen:
                await connection.execute("INSERT OR IGNORE INTO first_visit VALUES (1)")
            await connection.execute(
                "INSERT INTO passphrase (id, hash) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET hash = excluded.hash",
                (passphrase_hash,),
            )
            await connection.execute("DELETE FROM sessions WHERE token_hash IS NOT ?", (keep_token_hash,))


async def _insert(connection: aiosqlite.Connection, token_hash: str, label: str, address: str) -> None:
    now = time.time()
    await connection.execute(
        "INSERT INTO sessions (token_hash, label, address, created_at, seen_at) VALUES (?, ?, ?, ?, ?)",
        (token_hash, label, address, now, now),
    )
