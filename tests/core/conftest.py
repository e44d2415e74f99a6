"""The core over a fresh database and a stand-in for the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.core.fake_engine import PLAN, FakeCatalog, FakeEngines, model_file
from webui.config import Settings
from webui.core.chat import Chats
from webui.core.model_manager import ModelManager
from webui.core.model_records import ModelRecords
from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.store.model_records import ModelRecordStore
from webui.store.preferences import Preferences

NewManager = Callable[..., ModelManager]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", _env_file=None)  # type: ignore[call-arg]


@pytest_asyncio.fixture
async def preferences(database: Database) -> Preferences:
    return Preferences(database)


@pytest.fixture
def catalog() -> FakeCatalog:
    """Two models of one's own and the starter model; nobody chose yet."""
    return FakeCatalog(model_file("small"), model_file("large"), model_file("starter", source="starter"))


@pytest_asyncio.fixture
async def engines() -> FakeEngines:
    return FakeEngines()


@pytest_asyncio.fixture
async def records(database: Database) -> ModelRecords:
    records = ModelRecords(ModelRecordStore(database))
    await records.load()
    return records


@pytest_asyncio.fixture
async def new_manager(
    catalog: FakeCatalog, preferences: Preferences, settings: Settings, records: ModelRecords, engines: FakeEngines
) -> AsyncIterator[NewManager]:
    """`new_manager(planner=..., restart_seconds=..., ...)`; without a planner everything fits. All are closed."""
    made: list[ModelManager] = []

    def create(**options: Any) -> ModelManager:
        wanted: dict[str, Any] = {"settings": settings, "planner": lambda target, neighbours: PLAN} | options
        manager = ModelManager(
            catalog, preferences, wanted.pop("settings"), records=records, engine_factory=engines, **wanted
        )
        made.append(manager)
        return manager

    yield create
    engines.may_load.set()
    engines.may_stop.set()
    for manager in made:
        await manager.close()


@pytest.fixture
def models(new_manager: NewManager) -> ModelManager:
    return new_manager()


@pytest_asyncio.fixture
async def chats(store: ConversationStore, models: ModelManager, preferences: Preferences) -> AsyncIterator[Chats]:
    chats = Chats(store, models, preferences)
    yield chats
    await chats.close()
