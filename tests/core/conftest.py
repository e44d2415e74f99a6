"""The core over a fresh database and a stand-in for the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.core.fake_engine import PLAN, FakeCatalog, FakeEngines, model_file
from webui.config import Settings
from webui.core.chat import Chats
from webui.core.model_manager import ModelManager
from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.store.preferences import Preferences


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
async def models(
    catalog: FakeCatalog, preferences: Preferences, settings: Settings, engines: FakeEngines
) -> AsyncIterator[ModelManager]:
    manager = ModelManager(catalog, preferences, settings, engine_factory=engines, planner=lambda target, running: PLAN)
    yield manager
    engines.may_load.set()
    await manager.close()


@pytest_asyncio.fixture
async def chats(store: ConversationStore, models: ModelManager, preferences: Preferences) -> AsyncIterator[Chats]:
    chats = Chats(store, models, preferences)
    yield chats
    await chats.close()
