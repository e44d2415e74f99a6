"""One server for all tests of the chat page, with chats that are there already and short answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.server import RunningServer
from tests.ui.models_house import House, open_house
from tests.ui.seeded_chats import seed


@dataclass(frozen=True)
class ChatServer:
    """`chats` is the seeded chats' title → id."""

    base_url: str
    chats: dict[str, str]
    running: RunningServer


@pytest.fixture(scope="session")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "data").mkdir()
    chats = asyncio.run(seed(folder / "data"))
    with RunningServer(folder) as running:
        yield ChatServer(running.base_url, chats, running)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all tests of the Models page and of a model's sheet."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened
