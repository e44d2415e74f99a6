"""A fresh database for every test of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from webui.store.conversations import ConversationStore
from webui.store.database import Database


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "data" / "glasshouse.db")
    yield database
    await database.close()


@pytest_asyncio.fixture
async def store(database: Database) -> ConversationStore:
    return ConversationStore(database)
