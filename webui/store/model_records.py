"""The rows behind what people keep about models: one for each file, and their presets.

It knows rows; which file a record belongs to after the file was renamed or moved is for `core/model_records` to say.
A value that is damaged falls back to its default and says so in the log: notes must not be lost to a broken number.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Any, TypeVar

import msgspec

from webui.store.database import Database
from webui.store.model_values import ModelDefaults, ModelPreset, ModelRecord

T = TypeVar("T")

_log = logging.getLogger(__name__)

_RECORD = "id, model_id, file_name, size_bytes, title, tags, is_favourite, notes, defaults, used_at, fingerprint"


class ModelRecordStore:
    """Records by the number of their row; presets by their name, whatever the case of its letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[int, ModelRecord]:
        rows = await self._database.fetch_all(f"SELECT {_RECORD} FROM model_records ORDER BY id")  # noqa: S608
        return {row[0]: _record(row) for row in rows}

    async def add(self, record: ModelRecord) -> int:
        """Returns the number of the new row."""
        columns = _columns(record)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                f"INSERT INTO model_records ({names}) VALUES ({marks})",  # noqa: S608 - names from this file
                tuple(columns.values()),
            )
            return int(cursor.lastrowid or 0)

    async def save(self, number: int, record: ModelRecord) -> None:
        columns = _columns(record)
        async with self._database.transaction() as connection:
            await connection.execute(
                f"UPDATE model_records SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",  # noqa: S608
                (*columns.values(), number),
            )

    async def delete(self, number: int) -> None:
        """With its presets."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM model_records WHERE id = ?", (number,))

    async def presets(self) -> list[tuple[int, ModelPreset]]:
        """Each with the row of the record that it belongs to; by name."""
        rows = await self._database.fetch_all(
            "SELECT record_id, name, model_id, model_presets.defaults, created_at FROM model_presets "
            "JOIN model_records ON model_records.id = record_id ORDER BY name"
        )
        return [
            (row[0], ModelPreset(name=row[1], model_id=row[2], defaults=_defaults(row[3], row[1]), created_at=row[4]))
            for row in rows
        ]

    async def save_preset(self, number: int, preset: ModelPreset) -> None:
        """A preset of that name is replaced."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO model_presets (name, record_id, defaults, created_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET name = excluded.name, record_id = excluded.record_id, "
                "defaults = excluded.defaults",
                (preset.name, number, _json(preset.defaults), preset.created_at or time.time()),
            )

    async def delete_preset(self, name: str) -> bool:
        """False when there was none."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute("DELETE FROM model_presets WHERE name = ?", (name,))
            return cursor.rowcount > 0


def _columns(record: ModelRecord) -> dict[str, Any]:
    return {
        "model_id": record.model_id,
        "file_name": record.file_name,
        "size_bytes": record.size_bytes,
        "title": record.title,
        "tags": _json(record.tags),
        "is_favourite": int(record.is_favourite),
        "notes": record.notes,
        "defaults": _json(record.defaults),
        "used_at": record.used_at,
        "fingerprint": record.fingerprint,
    }


def _record(row: sqlite3.Row) -> ModelRecord:
    _, model_id, file_name, size_bytes, title, tags, is_favourite, notes, defaults, used_at, fingerprint = row
    return ModelRecord(
        model_id=model_id,
        file_name=file_name,
        size_bytes=size_bytes,
        title=title,
        tags=_decode(tags, tuple[str, ...], (), model_id),
        is_favourite=bool(is_favourite),
        notes=notes,
        defaults=_defaults(defaults, model_id),
        used_at=used_at,
        fingerprint=fingerprint,
    )


def _defaults(text: str, owner: str) -> ModelDefaults:
    return _decode(text, ModelDefaults, ModelDefaults(), owner)


def _decode(text: str, kind: type[T], otherwise: T, owner: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        _log.warning("What was stored about %s is damaged (%s): taking the default", owner, error)
        return otherwise


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
