"""The rows behind files that programs sent or that batches wrote: whose they are, what for, and for how long.

A row is written when a file is whole, so what is listed is never half of one. It does not know where contents lie.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

import aiosqlite

from webui.store.database import Database
from webui.types import Value

Order = Literal["asc", "desc"]

_COLUMNS = "id, owner, purpose, name, size_bytes, created_at, expires_at"


class StoredFile(Value, frozen=True):
    """One file. Times are Unix seconds."""

    id: str
    owner: str
    purpose: str  #: as OpenAI names them: batch, user_data, batch_output
    name: str
    size_bytes: int
    created_at: float
    expires_at: float | None = None


class FileStore:
    """Everything that is asked in somebody's name sees only what is that owner's, and nothing that has expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, file: StoredFile) -> None:
        async with self._database.transaction() as connection:
            await insert_file(connection, file)

    async def get(self, owner: str, file_id: str, *, now: float) -> StoredFile | None:
        row = await self._database.fetch_one(
            f"SELECT {_COLUMNS} FROM files WHERE id = ? AND owner = ? AND (expires_at IS NULL OR expires_at > ?)",  # noqa: S608
            (file_id, owner, now),
        )
        return None if row is None else _file(row)

    async def page(
        self,
        owner: str,
        *,
        now: float,
        limit: int,
        purpose: str | None = None,
        after: StoredFile | None = None,
        order: Order = "desc",
    ) -> list[StoredFile]:
        """Up to `limit` of them by the time of their making, those behind `after`."""
        conditions = ["owner = ?", "(expires_at IS NULL OR expires_at > ?)"]
        values: list[object] = [owner, now]
        if purpose is not None:
            conditions.append("purpose = ?")
            values.append(purpose)
        if after is not None:
            conditions.append(f"(created_at, id) {'>' if order == 'asc' else '<'} (?, ?)")
            values += [after.created_at, after.id]
        rows = await self._database.fetch_all(
            f"SELECT {_COLUMNS} FROM files WHERE {' AND '.join(conditions)} "  # noqa: S608 - words from this file
            f"ORDER BY created_at {order}, id {order} LIMIT ?",
            (*values, limit),
        )
        return [_file(row) for row in rows]

    async def delete(self, file_id: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM files WHERE id = ?", (file_id,))

    async def ids(self) -> set[str]:
        """Of every file, whoever owns it."""
        return {row[0] for row in await self._database.fetch_all("SELECT id FROM files")}

    async def expired(self, *, now: float) -> list[str]:
        """The ids of those whose time is over."""
        rows = await self._database.fetch_all("SELECT id FROM files WHERE expires_at <= ?", (now,))
        return [row[0] for row in rows]


async def insert_file(connection: aiosqlite.Connection, file: StoredFile) -> None:
    """Inside a transaction of the caller's."""
    await connection.execute(
        f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (file.id, file.owner, file.purpose, file.name, file.size_bytes, file.created_at, file.expires_at),
    )


def _file(row: sqlite3.Row) -> StoredFile:
    identity, owner, purpose, name, size_bytes, created_at, expires_at = row
    return StoredFile(
        id=identity,
        owner=owner,
        purpose=purpose,
        name=name,
        size_bytes=size_bytes,
        created_at=created_at,
        expires_at=expires_at,
    )
