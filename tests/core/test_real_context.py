"""The chat over a real engine and the starter model: forks, drafts, and conversations that outgrow the context."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.core.test_real_model import Listener
from tests.core.waiting import until
from webui.config import Settings
from webui.core.application import Application
from webui.core.titles import build_title_request
from webui.types import Finished, GenerationEvent, GenerationRequest, Message, SamplingParams, Usage

LETTER = "Dear keeper, tell me what you see from the tower when the fog comes in and the ships sound their horns. "
BRIEF = SamplingParams(temperature=0.0, seed=1, max_tokens=12)


@asynccontextmanager
async def opened(settings: Settings, *, ctx: int) -> AsyncIterator[Application]:
    small = settings.model_copy(update={"ctx": ctx, "threads": 1, "slots": 2})
    async with Application(small) as application:
        await application.preferences.set(sampling=BRIEF)
        yield application


@pytest_asyncio.fixture
async def application(settings: Settings) -> AsyncIterator[Application]:
    async with opened(settings, ctx=1024) as application:
        yield application


async def usage_of(events: AsyncGenerator[GenerationEvent, None]) -> Usage:
    (usage,) = [event.usage async for event in events if isinstance(event, Finished)]
    return usage


@pytest.mark.parametrize("num_letters", [1, 10, 30])
async def test_a_title_reads_next_to_nothing_however_long_the_chat(application: Application, num_letters: int) -> None:
    question = GenerationRequest(messages=(Message(role="user", content=LETTER * num_letters),), sampling=BRIEF)
    answered = await usage_of(application.models.generate(question))
    title = await usage_of(application.models.generate_aside(build_title_request(question)))
    assert answered.prompt_tokens > 20 * num_letters
    assert title.prompt_tokens - title.cached_tokens <= 40


async def test_a_message_that_was_read_while_it_was_typed_is_hardly_read_again(application: Application) -> None:
    await application.models.ensure_loaded()
    conversation = await application.chats.create()
    listener = Listener(application, conversation.id)
    request = GenerationRequest(messages=(Message(role="user", content=LETTER * 20),), conversation=conversation.id)
    drafted = await usage_of(application.models.prefill(request))
    assert drafted.completion_tokens == 0
    await application.chats.send(conversation.id, LETTER * 20 + "Well?")
    usage = (await listener.ended()).usage
    assert usage is not None
    assert usage.cached_tokens == drafted.prompt_tokens > 400
    assert usage.prompt_tokens - usage.cached_tokens < 20


async def test_a_chat_that_outgrows_the_context_leaves_its_oldest_turns_out_and_says_so(settings: Settings) -> None:
    async with opened(settings, ctx=512) as application:
        conversation = await application.chats.create()
        listener = Listener(application, conversation.id)
        for turn in range(4):
            await application.chats.send(conversation.id, f"Letter {turn}. " + LETTER * 6)
            ended = await listener.ended(times=turn + 1)
            assert ended.state == "complete", ended.error
        assert ended.trimmed is not None
        assert ended.trimmed.num_messages >= 2
        assert ended.usage is not None and ended.usage.prompt_tokens <= 512
        assert len((await application.chats.thread(conversation.id)).messages) == 8  # people still see all of it


async def test_a_cut_answer_goes_on_where_it_was_cut(application: Application) -> None:
    conversation = await application.chats.create()
    listener = Listener(application, conversation.id)
    await application.chats.send(conversation.id, "Write a story about a lighthouse.")
    cut = await listener.ended()
    assert cut.finish_reason == "length"
    await application.chats.continue_reply(conversation.id)
    whole = await listener.ended(times=2)
    assert whole.id == cut.id
    assert whole.content.startswith(cut.content) and len(whole.content) > len(cut.content) + 10
    assert whole.usage is not None and whole.usage.cached_tokens > 20


async def test_deleting_a_chat_deletes_what_was_kept_of_it_on_disk(
    application: Application, settings: Settings
) -> None:
    conversation = await application.chats.create()
    listener = Listener(application, conversation.id)
    await application.chats.send(conversation.id, LETTER)
    await listener.ended()
    folder = settings.data_dir / "kv" / conversation.id
    await until(lambda: list(folder.glob("*.kv")), seconds=60)  # written when the engine has nothing else to do
    await application.chats.delete(conversation.id)
    assert not folder.exists()
    await application.models.unload()  # an engine that ends writes what it still holds
    assert not folder.exists()
