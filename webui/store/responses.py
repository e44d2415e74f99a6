"""Answers of the Responses API in SQLite: each with its items, and naming the answer that it goes on from.

Everything is asked in somebody's name and sees only what is that owner's. How much is kept, and for how long, has a
limit: what nobody has used for longest goes first, and a conversation that goes on counts as used in whole. It knows
rows and JSON objects that have an id; it does not know what they mean.
"""

# ruff: noqa: S608 - the statements are put together from parts of this file, every value is a parameter

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite
import msgspec

from webui.errors import ResponseUnfinished, UnknownPrevious, UnknownResponse
from webui.store.database import Database
from webui.types import Value

Item = dict[str, Any]

RUNNING = ("queued", "in_progress")

# Newest first; the parameters are an id and its owner.
_CHAIN = """
WITH RECURSIVE chain (id, previous_id, status, depth) AS (
    SELECT id, previous_id, status, 0 FROM responses WHERE id = ?1 AND owner = ?2
    UNION ALL
    SELECT older.id, older.previous_id, older.status, chain.depth + 1
    FROM responses AS older JOIN chain ON older.id = chain.previous_id WHERE older.owner = ?2
)
"""
_BEYOND = """
DELETE FROM responses WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, used_at, ROW_NUMBER() OVER newest AS number, SUM(size_bytes) OVER newest AS bytes
        FROM responses WINDOW newest AS (ORDER BY used_at DESC ROWS UNBOUNDED PRECEDING)
    ) WHERE used_at < ? OR number > ? OR bytes > ?
)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept of everybody's answers together."""

    seconds: float = 30 * 86400.0  #: since the last use
    number: int = 10_000
    size_bytes: int = 1024**3


class StoredResponse(Value, frozen=True):
    """One answer. `body` is the object as it was told last, without its output; `status` is newer."""

    id: str
    owner: str
    status: str
    body: dict[str, Any]
    output: tuple[Item, ...] = ()
    previous_id: str | None = None
    created_at: float = 0.0  #: Unix seconds

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING


class ResponseStore:
    """`clock` gives Unix seconds."""

    def __init__(
        self, database: Database, limits: Limits | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._limits = limits or Limits()
        self._clock = clock

    async def add(self, response: StoredResponse, input_items: Sequence[Item]) -> None:
        """Keep it, and let go what is beyond the limits."""
        now = self._clock()
        body, told = _encode(response.body), _rows(input_items, response.output)
        size = len(body) + sum(len(item) for _, _, item in told)
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO responses (id, owner, previous_id, status, created_at, used_at, size_bytes, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    response.id,
                    response.owner,
                    response.previous_id,
                    response.status,
                    response.created_at,
                    now,
                    size,
                    body,
                ),
            )
            await _insert(connection, response.id, 0, told)
            await self._prune(connection, now)

    async def finish(self, response: StoredResponse) -> bool:
        """Keep how one that was added before it was written has ended; False when it was deleted meanwhile."""
        body, told = _encode(response.body), _rows((), response.output)
        size = len(body) + sum(len(item) for _, _, item in told)
        async with self._database.transaction() as connection:
            changed = await connection.execute(
                "UPDATE responses SET status = ?, body = ?, used_at = ?, size_bytes = size_bytes + ? WHERE id = ?",
                (response.status, body, self._clock(), size, response.id),
            )
            if changed.rowcount == 0:
                return False
            rows = await connection.execute_fetchall(
                "SELECT COUNT(*) FROM response_items WHERE response_id = ?", (response.id,)
            )
            await _insert(connection, response.id, next(iter(rows))[0], told)
        return True

    async def get(self, response_id: str, owner: str) -> StoredResponse:
        """Raises UnknownResponse."""
        row = await self._database.fetch_one(
            "SELECT status, body, previous_id, created_at FROM responses WHERE id = ? AND owner = ?",
            (response_id, owner),
        )
        if row is None:
            raise UnknownResponse(response_id)
        output = await self._items(response_id, is_output=True)
        return StoredResponse(
            id=response_id,
            owner=owner,
            status=row[0],
            body=msgspec.json.decode(row[1]),
            output=tuple(output),
            previous_id=row[2],
            created_at=row[3],
        )

    async def input_items(self, response_id: str, owner: str) -> list[Item]:
        """In their order. Raises UnknownResponse."""
        await self.get(response_id, owner)
        return await self._items(response_id, is_output=False)

    async def delete(self, response_id: str, owner: str) -> None:
        """Raises UnknownResponse."""
        async with self._database.transaction() as connection:
            gone = await connection.execute("DELETE FROM responses WHERE id = ? AND owner = ?", (response_id, owner))
            if gone.rowcount == 0:
                raise UnknownResponse(response_id)

    async def history(self, response_id: str, owner: str) -> list[Item]:
        """Everything that was said up to this answer and in it, oldest first; all of that counts as used now.

        Raises UnknownPrevious when the answer, or one that it goes on from, is not there; ResponseUnfinished.
        """
        asked = (response_id, owner)
        async with self._database.transaction() as connection:
            chain = list(
                await connection.execute_fetchall(
                    f"{_CHAIN} SELECT previous_id, status FROM chain ORDER BY depth DESC", asked
                )
            )
            if not chain or chain[0][0] is not None:
                raise UnknownPrevious(chain[0][0] if chain else response_id)
            if chain[-1][1] in RUNNING:
                raise ResponseUnfinished(response_id)
            await connection.execute(
                f"{_CHAIN} UPDATE responses SET used_at = ?3 WHERE id IN (SELECT id FROM chain)",
                (*asked, self._clock()),
            )
            rows = await connection.execute_fetchall(
                f"{_CHAIN} SELECT item FROM chain JOIN response_items ON response_id = chain.id "
                "ORDER BY depth DESC, position",
                asked,
            )
        return [msgspec.json.decode(row[0]) for row in rows]

    async def find_items(self, ids: Iterable[str], owner: str) -> dict[str, Item]:
        """Those of these items that are there, by their ids."""
        found: dict[str, Item] = {}
        for item_id in ids:
            row = await self._database.fetch_one(
                "SELECT item FROM response_items JOIN responses ON responses.id = response_id "
                "WHERE response_items.id = ? AND owner = ? ORDER BY created_at DESC LIMIT 1",
                (item_id, owner),
            )
            if row is not None:
                found[item_id] = msgspec.json.decode(row[0])
        return found

    async def close_interrupted(self) -> int:
        """Those that were being written when the server was killed have failed; how many there were."""
        async with self._database.transaction() as connection:
            changed = await connection.execute(
                "UPDATE responses SET status = 'failed' WHERE status IN ('queued', 'in_progress')"
            )
            return changed.rowcount

    async def prune(self) -> None:
        """Let go what is beyond the limits."""
        async with self._database.transaction() as connection:
            await self._prune(connection, self._clock())

    async def _items(self, response_id: str, *, is_output: bool) -> list[Item]:
        rows = await self._database.fetch_all(
            "SELECT item FROM response_items WHERE response_id = ? AND is_output = ? ORDER BY position",
            (response_id, is_output),
        )
        return [msgspec.json.decode(row[0]) for row in rows]

    async def _prune(self, connection: aiosqlite.Connection, now: float) -> None:
        limits, oldest = self._limits, now - self._limits.seconds
        rows = await connection.execute_fetchall("SELECT COUNT(*), SUM(size_bytes), MIN(used_at) FROM responses")
        number, size, used_at = next(iter(rows))
        if number and (number > limits.number or size > limits.size_bytes or used_at < oldest):
            await connection.execute(_BEYOND, (oldest, limits.number, limits.size_bytes))


def _rows(input_items: Sequence[Item], output: Sequence[Item]) -> list[tuple[str, bool, str]]:
    return [
        (item["id"], is_output, _encode(item))
        for is_output, items in ((False, input_items), (True, output))
        for item in items
    ]


async def _insert(
    connection: aiosqlite.Connection, response_id: str, first: int, rows: Sequence[tuple[str, bool, str]]
) -> None:
    await connection.executemany(
        "INSERT INTO response_items (response_id, position, id, is_output, item) VALUES (?, ?, ?, ?, ?)",
        [(response_id, first + number, *row) for number, row in enumerate(rows)],
    )


def _encode(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
