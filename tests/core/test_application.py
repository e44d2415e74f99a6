"""The whole application: opened in order, closed in order, alone on its data."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.fake_engine import FakeEngines
from tests.core.waiting import until
from webui.config import Settings
from webui.core.application import Application
from webui.errors import ConfigurationError, UnknownModel
from webui.library.catalog import find_starter
from webui.store.conversations import INTERRUPTED


async def test_conversations_and_settings_are_there_after_a_restart(settings: Settings, engines: FakeEngines) -> None:
    async with Application(settings, engine_factory=engines) as application:
        conversation = await application.chats.create()
        await application.chats.send(conversation.id, "Is anybody there?")
        answer = await engines.next_answer()
        answer.say("Yes.")
        answer.finish()
        await application.preferences.set(system_prompt="Be kind.")

    async with Application(settings, engine_factory=engines) as application:
        (reopened,) = await application.chats.list()
        assert reopened.title == "Is anybody there?"
        messages = (await application.chats.thread(reopened.id)).messages
        assert messages[0].content == "Is anybody there?"
        assert application.preferences.get().system_prompt == "Be kind."


async def test_closing_in_mid_answer_saves_it_and_stops_the_engine(settings: Settings, engines: FakeEngines) -> None:
    async with Application(settings, engine_factory=engines) as application:
        conversation = await application.chats.create()
        heard: list[object] = []
        application.chats.watch(conversation.id, heard.append)
        await application.chats.send(conversation.id, "Tell me")
        (await engines.next_answer()).say("Once upon")
        await until(lambda: len(heard) > 3)
    assert not engines.newest.is_running
    async with Application(settings, engine_factory=engines) as application:
        reply = (await application.chats.thread(conversation.id)).messages[-1]
        assert (reply.state, reply.content) == ("failed", "Once upon")


async def test_after_a_power_cut_in_mid_answer_the_text_is_there_and_says_what_happened(
    settings: Settings, engines: FakeEngines, tmp_path: Path
) -> None:
    async with Application(settings, engine_factory=engines) as application:
        conversation = await application.chats.create()
        await application.chats.send(conversation.id, "Tell me")
        (await engines.next_answer()).say("Once upon")

        def is_on_disk() -> bool:
            shutil.rmtree(tmp_path / "after", ignore_errors=True)
            shutil.copytree(settings.data_dir, tmp_path / "after")  # as the disk is at this moment
            connection = sqlite3.connect(tmp_path / "after" / "glasshouse.db")
            try:
                return bool(connection.execute("SELECT 1 FROM messages WHERE content = 'Once upon'").fetchone())
            finally:
                connection.close()

        await until(is_on_disk)
    after = settings.model_copy(update={"data_dir": tmp_path / "after"})
    async with Application(after, engine_factory=engines) as application:
        reply = (await application.chats.thread(conversation.id)).messages[-1]
        assert (reply.state, reply.content, reply.error) == ("failed", "Once upon", INTERRUPTED)
        await application.chats.send(conversation.id, "Go on")
        (await engines.next_answer()).finish()


async def test_nothing_is_started_and_little_is_made_by_opening(settings: Settings, engines: FakeEngines) -> None:
    async with Application(settings, engine_factory=engines) as application:
        assert application.models.status.state == "stopped"
        assert engines.made == []
        assert not list(settings.models_dir.glob("*"))


async def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
    settings: Settings, engines: FakeEngines
) -> None:
    async with Application(settings, engine_factory=engines) as first:
        conversation = await first.chats.create()
        await first.chats.send(conversation.id, "Hello")
        answer = await engines.next_answer()
        with pytest.raises(ConfigurationError, match="Another Glasshouse is running"):
            async with Application(settings, engine_factory=engines):
                pass
        thread = await first.chats.thread(conversation.id)
        assert thread.messages[-1].state == "streaming", "the second one did not take its reply for interrupted"
        answer.finish()
    async with Application(settings, engine_factory=engines):
        pass


async def test_an_opening_that_fails_closes_what_it_opened(settings: Settings, engines: FakeEngines) -> None:
    database = settings.data_dir / "glasshouse.db"
    database.parent.mkdir(parents=True)
    database.write_text("this is no database " * 100)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        async with Application(settings, engine_factory=engines):
            pass
    database.unlink()
    async with Application(settings, engine_factory=engines) as application:  # the lock is free again
        assert await application.chats.list() == []


async def test_a_data_folder_that_is_a_file_is_refused_in_words(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--data-dir"):
        async with Application(settings.model_copy(update={"data_dir": tmp_path / "file"})):
            pass


async def test_an_imported_model_is_in_the_catalog_at_once_and_everybody_hears_of_it(
    settings: Settings, engines: FakeEngines
) -> None:
    starter = find_starter()
    assert starter is not None

    data = await asyncio.to_thread(starter.read_bytes)

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]

    async with Application(settings, engine_factory=engines) as application:
        news: list[None] = []
        application.models.catalog_changed.subscribe(news.append)
        upload = await application.uploads.start("Mine.gguf", len(data))
        with pytest.raises(UnknownModel):
            await application.catalog.find("Mine.gguf")

        done = await application.uploads.append(upload.id, 0, stream())
        assert done.state == "complete"
        assert len(news) == 1
        assert (await application.catalog.find("Mine.gguf")).source == "local"


async def test_a_model_may_be_named_by_its_path_wherever_it_lies(
    settings: Settings, engines: FakeEngines, tmp_path: Path
) -> None:
    starter = find_starter()
    assert starter is not None
    (tmp_path / "downloads").mkdir()
    path = tmp_path / "downloads" / "Mine.gguf"
    path.symlink_to(starter)
    (tmp_path / "downloads" / "Other.gguf").write_bytes(b"not asked for")
    named = settings.model_copy(update={"model": str(path)})
    async with Application(named, engine_factory=engines) as application:
        await application.models.ensure_loaded()
        assert application.models.status.model is not None
        assert application.models.status.model.path == path
        assert not any(model.path.name == "Other.gguf" for model in await application.models.models())


async def test_further_folders_are_looked_into_now_and_after_a_restart(
    settings: Settings, engines: FakeEngines, tmp_path: Path
) -> None:
    starter = find_starter()
    assert starter is not None
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "Linked.gguf").symlink_to(starter)
    async with Application(settings, engine_factory=engines) as application:
        news: list[None] = []
        application.models.catalog_changed.subscribe(news.append)
        await application.set_extra_dirs([folder])
        assert len(news) == 1
        assert any(model.path.name == "Linked.gguf" for model in await application.models.models())
    async with Application(settings, engine_factory=engines) as application:
        assert any(model.source == "folder" for model in await application.models.models())
