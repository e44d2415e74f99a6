"""Drafts are read while they are typed: the newest wins, sending ends it, and nothing of it disturbs anybody."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.fake_engine import FakeEngines
from tests.core.test_chat import Viewer
from tests.core.waiting import until
from webui.core.chat import Chats
from webui.core.model_manager import ModelManager
from webui.core.read_ahead import ReadAhead
from webui.errors import ContextTooLong
from webui.store.preferences import Preferences
from webui.types import Usage


def usage(prompt: int, cached: int) -> Usage:
    return Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=0)


async def test_a_draft_is_read_as_the_chats_next_message(
    chats: Chats, models: ModelManager, engines: FakeEngines, preferences: Preferences
) -> None:
    await preferences.set(system_prompt="Be kind.")
    await models.ensure_loaded()
    reader = chats.reader("ada")
    reader.read(None, "A new chat begins")
    draft = await engines.next_draft()
    assert [message.content for message in draft.messages] == ["Be kind.", "A new chat begins"]
    assert (draft.owner, draft.request.conversation) == ("ada", "")

    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "One")
    answer = await engines.next_answer()
    answer.say("1")
    answer.finish()
    await viewer.ended()
    reader.read(conversation.id, "And tw")
    draft = await engines.next_draft()
    assert [message.content for message in draft.messages] == ["Be kind.", "One", "1", "And tw"]
    assert draft.request.conversation == conversation.id
    reader.stop()


async def test_the_newest_draft_takes_the_place_of_the_one_before_but_not_of_another_pages(
    chats: Chats, models: ModelManager, engines: FakeEngines
) -> None:
    await models.ensure_loaded()
    here, elsewhere = chats.reader("ada"), chats.reader("ada")
    elsewhere.read(None, "Something quite different")
    other = await engines.next_draft()
    here.read(None, "How do I")
    first = await engines.next_draft()
    here.read(None, "How do I bake")
    second = await engines.next_draft()
    await until(lambda: first.is_cancelled)
    here.read(None, "")  # deleted again
    await until(lambda: second.is_cancelled)
    assert not other.is_cancelled
    elsewhere.stop()
    await until(lambda: other.is_cancelled)


async def test_the_answer_tells_how_much_of_its_prompt_was_read_before(
    chats: Chats, models: ModelManager, engines: FakeEngines
) -> None:
    await models.ensure_loaded()
    reader = chats.reader("ada")
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    reader.read(conversation.id, "How do I bake")
    first = await engines.next_draft()
    first.read(40, 60)
    first.finish("stop", usage(60, 20))  # 20 tokens were there already: a system prompt, say
    reader.read(conversation.id, "How do I bake a bread")
    second = await engines.next_draft()
    second.usage = usage(80, 60)
    second.read(70, 80)
    ahead = reader.take(conversation.id)
    await until(lambda: second.is_cancelled)

    await chats.send(conversation.id, "How do I bake a bread today?", read_ahead=ahead)
    answer = await engines.next_answer()
    answer.say("With flour.")
    answer.finish("stop", usage(90, 70))
    assert (await viewer.ended()).read_ahead == 50
    reader.read(conversation.id, "Thank you")
    assert reader.take("another chat") is None


async def test_nobody_waits_for_a_draft_when_all_is_over(
    chats: Chats, models: ModelManager, engines: FakeEngines
) -> None:
    await models.ensure_loaded()
    chats.reader("ada").read(None, "How do I")
    draft = await engines.next_draft()
    async with asyncio.timeout(5):
        await chats.close()
    assert draft.is_cancelled


@pytest.mark.parametrize("cached", [0, 20])
def test_what_the_answer_had_to_read_again_is_not_claimed(cached: int) -> None:
    ahead = ReadAhead()
    assert ahead.num_used(usage(90, 70)) == 0
    ahead.note(20, 60)
    assert ahead.num_used(usage(90, cached)) == 0
    assert ahead.num_used(usage(90, 90)) == 40


async def test_nothing_is_loaded_and_nobody_hears_of_it_when_a_draft_cannot_be_read(
    chats: Chats, models: ModelManager, engines: FakeEngines
) -> None:
    reader = chats.reader("ada")
    reader.read(None, "Nothing is loaded")
    reader.read("no such chat", "Hm")
    await models.ensure_loaded()
    assert engines.drafts.empty()
    reader.read(None, "Far too long")
    draft = await engines.next_draft()
    draft.fail(ContextTooLong(prompt_tokens=9000, context_tokens=2048))
    reader.read(None, "Shorter")
    assert (await engines.next_draft()).messages[-1].content == "Shorter"
    reader.stop()
