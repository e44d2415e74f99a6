"""Conversations in SQLite: trees of parent-linked messages of which one path, root to active leaf, is visible.

It knows rows; it does not know who writes a reply, or that one is running (`is_answering` is core's to say).
"""

# ruff: noqa: S608 - the columns that are put into statements are named in this file, every value is a parameter

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from webui.errors import UnknownConversation, UnknownImage, UnknownMessage
from webui.store.database import Database
from webui.types import ChatMessage, ContextTrimmed, Conversation, SamplingParams, Timings, Usage

T = TypeVar("T", bound=msgspec.Struct)

_log = logging.getLogger(__name__)

INTERRUPTED = "Glasshouse was stopped while this was being written. What was written is kept."

_CONVERSATION = "id, title, created_at, updated_at, system_prompt, sampling"
_MESSAGE = (
    "id, conversation_id, parent_id, role, content, reasoning, state, created_at, model_name, error, error_code, "
    "finish_reason, usage, timings, trimmed, read_ahead, images"
)

_JSON_COLUMNS: dict[str, type[msgspec.Struct]] = {"usage": Usage, "timings": Timings, "trimmed": ContextTrimmed}


class ConversationStore:
    """Create, read and change conversations and their messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, *, title: str = "New chat") -> Conversation:
        now = time.time()
        conversation = Conversation(id=uuid4().hex, title=title, created_at=now, updated_at=now)
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, ?, ?, ?)",
                (conversation.id, title, now, now),
            )
        return conversation

    async def list(self) -> list[Conversation]:
        """Newest first, by the last message."""
        rows = await self._database.fetch_all(
            f"SELECT {_CONVERSATION} FROM conversations ORDER BY updated_at DESC, rowid DESC"
        )
        return [_conversation(row) for row in rows]

    async def get(self, conversation_id: str) -> Conversation:
        row = await self._database.fetch_one(
            f"SELECT {_CONVERSATION} FROM conversations WHERE id = ?", (conversation_id,)
        )
        if row is None:
            raise UnknownConversation(conversation_id)
        return _conversation(row)

    async def rename(self, conversation_id: str, title: str) -> None:
        await self._change(conversation_id, {"title": title})

    async def update(
        self,
        conversation_id: str,
        *,
        system_prompt: str | UnsetType | None = UNSET,
        sampling: SamplingParams | UnsetType | None = UNSET,
    ) -> None:
        """Change what is given; None goes back to the defaults of the settings."""
        changes: dict[str, Any] = {}
        if system_prompt is not UNSET:
            changes["system_prompt"] = system_prompt
        if sampling is not UNSET:
            changes["sampling"] = _to_json(sampling)
        if changes:
            await self._change(conversation_id, changes)

    async def delete(self, conversation_id: str) -> None:
        async with self._database.transaction() as connection:
            cursor = await connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
            if cursor.rowcount == 0:
                raise UnknownConversation(conversation_id)

    async def add_message(self, message: ChatMessage, images: Sequence[bytes] = ()) -> None:
        """Store a new message; it becomes the active leaf and its conversation the newest one. `images`: what the ids
        of its images stand for."""
        row = _message_row(message)
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE conversations SET leaf_id = ?, updated_at = ? WHERE id = ?",
                (message.id, message.created_at, message.conversation_id),
            )
            if cursor.rowcount == 0:
                raise UnknownConversation(message.conversation_id)
            await connection.execute(
                f"INSERT INTO messages ({_MESSAGE}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )
            await connection.executemany(
                "INSERT INTO message_images (id, conversation_id, data) VALUES (?, ?, ?)",
                [(each, message.conversation_id, data) for each, data in zip(message.images, images, strict=True)],
            )

    async def save_message(self, message: ChatMessage) -> None:
        """Write everything about a stored message again but its place in the tree."""
        row = _message_row(message)
        for fixed in ("id", "conversation_id", "parent_id", "role", "created_at"):
            del row[fixed]
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                f"UPDATE messages SET {_assignments(row)} WHERE id = ?", (*row.values(), message.id)
            )
            if cursor.rowcount == 0:
                raise UnknownMessage(message.id)

    async def path(self, conversation_id: str) -> tuple[ChatMessage, ...]:
        """The visible messages, root first."""
        rows = await self._database.fetch_all(
            f"""
            WITH RECURSIVE path (message_id, height) AS (
                SELECT leaf_id, 0 FROM conversations WHERE id = ?
                UNION ALL
                SELECT messages.parent_id, height + 1 FROM path JOIN messages ON messages.id = path.message_id
            )
            SELECT {_MESSAGE} FROM path JOIN messages ON messages.id = path.message_id ORDER BY height DESC
            """,
            (conversation_id,),
        )
        if not rows:
            await self.get(conversation_id)  # an empty path is fine, a missing conversation is not
        return tuple(_message(row) for row in rows)

    async def image(self, conversation_id: str, image_id: str) -> bytes:
        """A picture of one of the conversation's messages. Raises UnknownImage."""
        row = await self._database.fetch_one(
            "SELECT data FROM message_images WHERE id = ? AND conversation_id = ?", (image_id, conversation_id)
        )
        if row is None:
            raise UnknownImage(image_id)
        return bytes(row[0])

    async def set_leaf(self, conversation_id: str, message_id: str | None) -> None:
        """Make another message of the conversation the visible leaf; None shows an empty conversation."""
        if message_id is not None:
            row = await self._database.fetch_one(
                "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?", (message_id, conversation_id)
            )
            if row is None:
                raise UnknownMessage(message_id)
        await self._change(conversation_id, {"leaf_id": message_id})

    async def close_interrupted(self) -> int:
        """At start-up: replies that a former process left in mid-air become failed ones that say so."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE messages SET state = 'failed', error = ?, error_code = 'interrupted' WHERE state = 'streaming'",
                (INTERRUPTED,),
            )
            return cursor.rowcount

    async def _change(self, conversation_id: str, changes: dict[str, Any]) -> None:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                f"UPDATE conversations SET {_assignments(changes)} WHERE id = ?", (*changes.values(), conversation_id)
            )
            if cursor.rowcount == 0:
                raise UnknownConversation(conversation_id)


def _assignments(changes: dict[str, Any]) -> str:
    return ", ".join(f"{column} = ?" for column in changes)


def _to_json(value: msgspec.Struct | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _from_json(text: str | None, kind: type[T]) -> T | None:
    """What cannot be read (any more) counts as not set: one damaged value must not close a conversation."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        _log.warning("Stored %s are damaged: %s", kind.__name__, error)
        return None


def _conversation(row: sqlite3.Row) -> Conversation:
    identifier, title, created_at, updated_at, system_prompt, sampling = row
    return Conversation(
        id=identifier,
        title=title,
        created_at=created_at,
        updated_at=updated_at,
        system_prompt=system_prompt,
        sampling=_from_json(sampling, SamplingParams),
    )


def _message_row(message: ChatMessage) -> dict[str, Any]:
    """Column → value, in the order of _MESSAGE."""
    row = {name: getattr(message, name) for name in _MESSAGE.split(", ")}
    for name in _JSON_COLUMNS:
        row[name] = _to_json(row[name])
    row["images"] = " ".join(message.images)
    return row


def _message(row: sqlite3.Row) -> ChatMessage:
    values = dict(zip(_MESSAGE.split(", "), row, strict=True))
    for name, kind in _JSON_COLUMNS.items():
        values[name] = _from_json(values[name], kind)
    values["images"] = tuple(values["images"].split())
    return ChatMessage(**values)
