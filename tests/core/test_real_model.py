"""The core with a real engine process and the starter model: answers, deaths, swaps, memory."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.core.waiting import until
from tests.support.processes import children_with
from webui.config import Settings
from webui.core.application import Application
from webui.errors import EngineDied, GlasshouseError, ModelTooBig
from webui.library.catalog import find_starter
from webui.store.model_values import ModelDefaults
from webui.types import (
    ChatEvent,
    ChatMessage,
    Finished,
    GenerationRequest,
    Memory,
    Message,
    ReplyDelta,
    ReplyEnded,
    SamplingParams,
)

GREEDY = SamplingParams(temperature=0.0, seed=1, max_tokens=8)
ENDLESS = SamplingParams(temperature=0.0, seed=1)
STORY = "Write a very long story about a lighthouse, with many chapters."


@pytest_asyncio.fixture
async def application(settings: Settings) -> AsyncIterator[Application]:
    small = settings.model_copy(update={"ctx": 2048, "threads": 1, "slots": 2})
    async with Application(small) as application:
        yield application


class Listener:
    def __init__(self, application: Application, conversation_id: str) -> None:
        self.text = ""
        self.ends: list[ChatMessage] = []
        application.chats.watch(conversation_id, self._hear)

    def _hear(self, event: ChatEvent) -> None:
        if isinstance(event, ReplyDelta):
            self.text += event.text
        elif isinstance(event, ReplyEnded):
            self.ends.append(event.message)

    async def ended(self, times: int = 1) -> ChatMessage:
        await until(lambda: len(self.ends) >= times, seconds=60)
        return self.ends[-1]


def engines() -> list[psutil.Process]:
    """The engine processes of this one; the session's server and browser are its children too."""
    return children_with("webui.engine")


def engine_pid() -> int:
    """The one engine process of this test."""
    (engine,) = engines()
    return engine.pid


async def test_a_real_answer_and_the_memory_comes_back_when_it_is_unloaded(application: Application) -> None:
    await application.preferences.set(sampling=GREEDY)
    conversation = await application.chats.create()
    listener = Listener(application, conversation.id)
    await application.chats.send(conversation.id, "What is the capital of France?")
    ended = await listener.ended()
    assert ended.state == "complete" and ended.finish_reason in {"stop", "length"}
    assert ended.content == listener.text and len(ended.content) > 3
    assert ended.usage is not None and 0 < ended.usage.completion_tokens <= 8

    status = application.models.status
    assert status.state == "ready" and status.info is not None and status.model is not None
    assert status.info.options.context_tokens == 2048
    assert status.model.source == "starter"
    assert status.memory_bytes > 50_000_000
    await application.models.unload()
    assert engines() == []
    assert application.models.status.memory_bytes == 0


async def test_kill_9_in_mid_answer_keeps_the_text_and_the_next_message_starts_the_model_again(
    application: Application,
) -> None:
    conversation = await application.chats.create()
    await application.chats.update(conversation.id, sampling=ENDLESS)
    listener = Listener(application, conversation.id)
    await application.chats.send(conversation.id, STORY)
    await until(lambda: len(listener.text) > 40, seconds=60)
    os.kill(engine_pid(), signal.SIGKILL)
    failed = await listener.ended()
    assert (failed.state, failed.error_code) == ("failed", "engine_died")
    assert len(failed.content) > 40
    assert failed.error is not None and "kept" in failed.error
    died = application.models.status
    assert (died.state, died.memory_bytes) == ("failed", 0)
    stored = (await application.chats.thread(conversation.id)).messages[-1]
    assert stored == failed

    await application.chats.update(conversation.id, sampling=GREEDY)
    await application.chats.send(conversation.id, "Thank you.")
    assert (await listener.ended(times=2)).state == "complete"
    assert application.models.status.state == "ready"


async def test_a_swap_has_never_two_engines_and_a_refused_model_leaves_the_running_one(
    application: Application, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = find_starter()
    assert starter is not None
    settings.models_dir.mkdir()
    shutil.copy(starter, settings.models_dir / "Copy.gguf")
    (settings.models_dir / "Broken.gguf").write_bytes(starter.read_bytes()[: 4 << 20])
    await application.models.load(starter.stem)
    first = engine_pid()
    await application.models.load("Copy.gguf")
    second = engine_pid()
    assert second != first and not psutil.pid_exists(first)

    with pytest.raises(GlasshouseError, match="damaged"):
        await application.models.load("Broken.gguf")
    monkeypatch.setattr(application.machine, "_read", lambda: Memory(ram_total=2**30, ram_free=2**20))
    monkeypatch.setattr("webui.core.neighbours.private_bytes", lambda pid: 2**20)
    with pytest.raises(ModelTooBig):
        await application.models.load(starter.stem)
    assert engine_pid() == second
    assert application.models.status.state == "ready"


async def test_two_conversations_are_answered_at_the_same_time(application: Application) -> None:
    listeners = []
    for _ in range(2):
        conversation = await application.chats.create()
        await application.chats.update(conversation.id, sampling=ENDLESS)
        listeners.append(Listener(application, conversation.id))
        await application.chats.send(conversation.id, STORY)
    await until(lambda: all(len(listener.text) > 20 for listener in listeners), seconds=60)
    assert not any(listener.ends for listener in listeners)
    for conversation in await application.chats.list():
        await application.chats.stop(conversation.id)
    assert [listener.ends[-1].state for listener in listeners] == ["stopped", "stopped"]


async def test_a_conversation_too_long_for_the_model_says_both_numbers(application: Application) -> None:
    conversation = await application.chats.create()
    listener = Listener(application, conversation.id)
    await application.chats.send(conversation.id, "many words " * 2000)
    failed = await listener.ended()
    assert failed.error_code == "context_too_long"
    assert failed.error is not None and "2,048" in failed.error
    await application.chats.update(conversation.id, sampling=GREEDY)
    await application.chats.send(conversation.id, "Hello!")
    assert (await listener.ended(times=2)).state == "complete"


async def test_closing_leaves_no_process_behind(settings: Settings, tmp_path: Path) -> None:
    async with Application(settings) as application:  # as it is set up for everybody: the others make do with less
        await application.models.load((await application.models.models())[0].id)
        pid = engine_pid()
    assert not psutil.pid_exists(pid)


async def test_two_models_answer_side_by_side_and_the_death_of_one_is_not_the_others(
    application: Application, settings: Settings
) -> None:
    starter = find_starter()
    assert starter is not None
    settings.models_dir.mkdir()
    shutil.copy(starter, settings.models_dir / "Copy.gguf")
    (copy,) = [model for model in await application.models.models() if model.id == "Copy"]
    template = "{{ messages[-1].content }}"
    await application.records.update(copy, defaults=ModelDefaults(ctx=512, chat_template=template))
    endless = SamplingParams(temperature=0.0, ignore_eos=True)
    story = GenerationRequest(messages=(Message(role="user", content=STORY),), sampling=endless)
    await application.models.load(starter.stem)
    page = engine_pid()

    async with aclosing(application.models.generate(story)) as ours:
        async with aclosing(application.models.generate(story, model="Copy")) as theirs:
            await anext(ours)
            await anext(theirs)
            (guest,) = {engine.pid for engine in engines()} - {page}
            os.kill(guest, signal.SIGKILL)
            with pytest.raises(EngineDied):
                async for _ in theirs:
                    pass
        for _ in range(20):
            await anext(ours)
    assert (engine_pid(), application.models.status.state) == (page, "ready")

    letters = GenerationRequest(messages=(Message(role="user", content="A B C D E F"),), sampling=GREEDY)
    answer = application.models.generate(letters, model="Copy")
    (end,) = [event async for event in answer if isinstance(event, Finished)]
    assert end.usage.prompt_tokens < 10, "its own template adds nothing to the six letters"
    (copy_now,) = [each for each in application.models.alive if not each.is_page]
    assert (copy_now.context_tokens, copy_now.state) == (512, "ready")
