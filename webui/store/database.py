"""One SQLite file, opened, brought up to date and shared by the stores.

It knows connections, transactions and versions; it does not know what the tables mean (that is `migrations.py` and the
stores). Reads and writes go through one connection on a thread of its own, so nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from webui.errors import ConfigurationError, StoreFailed
from webui.store.migrations import MIGRATIONS, Migration

_log = logging.getLogger(__name__)

_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # in WAL mode a power cut may lose the last moments, never the file
)


class Database:
    """The open database. `open` raises ConfigurationError; everything later raises StoreFailed."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()  # one connection: a read between two writes of a transaction would see half of it

    @classmethod
    async def open(cls, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
        """Open `path` (its folder is made, private to the user) and bring it up to the newest version."""
        make_private_folder(path.parent)
        _make_private_file(path)
        try:
            # Transactions are begun by hand in `transaction`; Python's own would begin them behind our back.
            connection = await aiosqlite.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        database = cls(connection)
        try:
            for pragma in _PRAGMAS:
                await connection.execute(pragma)
            await database._migrate(path, migrations)
        except (sqlite3.Error, StoreFailed) as error:
            await database.close()
            raise _unusable(path, error) from error
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        await self._connection.close()

    async def fetch_all(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """Read what is committed. Not inside `transaction`: there, use its connection."""
        async with self._lock:
            try:
                return list(await self._connection.execute_fetchall(sql, parameters))
            except sqlite3.Error as error:
                raise StoreFailed(str(error)) from error

    async def fetch_one(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Row | None:
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Every write goes through here: all of the block or, on any error or cancellation, nothing of it.

        The connection's thread works in order, so what a cancelled task had queued is done before the rollback is.
        """
        async with self._lock:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                await self._connection.commit()
            except sqlite3.Error as error:
                await self._roll_back()
                raise StoreFailed(str(error)) from error
            except BaseException:
                await self._roll_back()
                raise

    async def _roll_back(self) -> None:
        try:
            await self._connection.rollback()
        except sqlite3.Error:
            _log.exception("Rolling back failed")

    async def _migrate(self, path: Path, migrations: Sequence[Migration]) -> None:
        row = await self.fetch_one("PRAGMA user_version")
        version: int = row[0] if row else 0
        if version > len(migrations):
            raise ConfigurationError(
                f"The database {path} was written by a newer Glasshouse (its version is {version}, this program knows "
                f"{len(migrations)}). Update Glasshouse, or choose another data folder with --data-dir."
            )
        for number, migrate in enumerate(migrations[version:], start=version + 1):
            _log.info("Bringing the database to version %d", number)
            async with self.transaction() as connection:
                await migrate(connection)
                await connection.execute(f"PRAGMA user_version = {number}")


def make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"Glasshouse cannot keep its data in {folder} ({error.strerror}). Choose another folder with --data-dir or "
            "GLASSHOUSE_DATA_DIR."
        ) from error


def _make_private_file(path: Path) -> None:
    """Make the file, or see that it can be written. The files that SQLite puts beside it get the same mode.

    aiosqlite leaves its thread behind when SQLite cannot open a file, so this has to be known before.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"The database {path} cannot be used ({error}). If it is damaged, move it away and Glasshouse starts with a "
        "new one; if the folder cannot be written to, choose another one with --data-dir."
    )
