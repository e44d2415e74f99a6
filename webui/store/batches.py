"""Batches: many requests of one file, answered while nobody else asks. One row each, the batch itself as JSON.

It knows how to keep them, and what must be written together; what becomes of a batch is `core/batches`' to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

import msgspec

from webui.store.database import Database
from webui.store.files import StoredFile, insert_file
from webui.types import Usage, Value

BatchState = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
#: there is something left to do
OPEN_STATES: tuple[BatchState, ...] = ("validating", "in_progress", "finalizing", "cancelling")

_log = logging.getLogger(__name__)


class BatchMistake(Value, frozen=True):
    """Something that is wrong with a batch: with its input (`line`, from 1), or with this machine right now."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Batch(Value, frozen=True):
    """One batch. Times are Unix seconds; `times` tells when it came into each of its states."""

    id: str
    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: float
    expires_at: float
    output_id: str  #: where answers are written from the beginning; a file for others only once it is over
    error_id: str  #: the same for what could not be answered
    state: BatchState = "validating"
    times: dict[str, float] = msgspec.field(default_factory=dict)
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    output_seconds: float | None = None  #: that the written files stay, counted from their making
    num_total: int = 0
    num_completed: int = 0
    num_failed: int = 0
    usage: Usage = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
    has_output: bool = False  #: `output_id` is a file now
    has_errors: bool = False
    mistakes: tuple[BatchMistake, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class BatchStore:
    """Every batch of this machine; what is asked in somebody's name sees that owner's only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO batches (id, owner, created_at, is_open, batch) VALUES (?, ?, ?, ?, ?)",
                (batch.id, batch.owner, batch.created_at, batch.is_open, _encode(batch)),
            )

    async def save(self, batch: Batch, files: Iterable[StoredFile] = ()) -> None:
        """Keep what is known of it now, and make files of what it wrote: both or nothing."""
        async with self._database.transaction() as connection:
            for file in files:
                await insert_file(connection, file)
            await connection.execute(
                "UPDATE batches SET is_open = ?, batch = ? WHERE id = ?", (batch.is_open, _encode(batch), batch.id)
            )

    async def get(self, owner: str, batch_id: str) -> Batch | None:
        found = await self._fetch("WHERE id = ? AND owner = ?", (batch_id, owner))
        return found[0] if found else None

    async def page(self, owner: str, *, limit: int, after: Batch | None = None) -> list[Batch]:
        """The newest first, those behind `after`."""
        if after is None:
            return await self._fetch("WHERE owner = ? ORDER BY created_at DESC, id DESC LIMIT ?", (owner, limit))
        return await self._fetch(
            "WHERE owner = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?",
            (owner, after.created_at, after.id, limit),
        )

    async def open(self) -> list[Batch]:
        """Those that are not over, the oldest first."""
        return await self._fetch("WHERE is_open ORDER BY created_at, id", ())

    async def _fetch(self, where: str, values: tuple[object, ...]) -> list[Batch]:
        rows = await self._database.fetch_all(f"SELECT id, batch FROM batches {where}", values)  # noqa: S608
        found = [_decode(*row) for row in rows]
        return [batch for batch in found if batch is not None]


def _encode(batch: Batch) -> str:
    return msgspec.json.encode(batch).decode()


def _decode(batch_id: str, text: str) -> Batch | None:
    """None for one that is damaged or of another version; the log says so."""
    try:
        return msgspec.json.decode(text, type=Batch)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        _log.warning("The batch %s cannot be read from the database (%s) and is left out", batch_id, error)
        return None
