"""What a chat does when it outgrows the context, is cut short, or is deleted."""

from __future__ import annotations

import pytest

from tests.core.fake_engine import FakeEngines
from tests.core.test_chat import Viewer, last_message
from tests.core.waiting import until
from webui.config import Settings
from webui.core.chat import Chats
from webui.errors import NothingToContinue
from webui.types import ChatMessage, ContextTrimmed, MessageChanged, ReplyDelta


async def test_a_chat_that_outgrows_the_context_goes_on_and_says_what_the_model_no_longer_sees(
    chats: Chats, engines: FakeEngines
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "A long story")
    answer = await engines.next_answer()
    assert answer.request.overflow == "drop_oldest"
    assert answer.request.conversation == conversation.id
    answer.trim(num_messages=4)
    answer.say("Go on.")
    answer.trim(num_tokens=100)
    answer.trim(num_tokens=50)
    answer.finish()
    ended = await viewer.ended()
    assert ended.trimmed == ContextTrimmed(num_messages=4, num_tokens=150)
    assert await last_message(chats, conversation.id) == ended
    told = [event.message.trimmed for event in viewer.events if isinstance(event, MessageChanged)]
    assert told[0] == ContextTrimmed(num_messages=4)
    assert viewer.text == "Go on."


async def test_who_waits_in_line_hears_the_place_and_how_long_about(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Hello")
    answer = await engines.next_answer()
    answer.queue(2, 20.0)
    await until(lambda: viewer.waits and viewer.waits[-1].phase == "queued")
    assert (viewer.waits[-1].position, viewer.waits[-1].seconds) == (2, 20.0)


async def cut_answer(chats: Chats, engines: FakeEngines, conversation_id: str) -> ChatMessage:
    viewer = Viewer(chats, conversation_id)
    await chats.send(conversation_id, "Count to six")
    answer = await engines.next_answer()
    answer.say("One, two, 🙂")
    answer.finish("length")
    return await viewer.ended()


async def test_an_answer_that_was_cut_goes_on_in_the_same_message(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    cut = await cut_answer(chats, engines, conversation.id)
    viewer = Viewer(chats, conversation.id)
    await chats.continue_reply(conversation.id, owner="ada")
    more = await engines.next_answer()
    assert more.request.continuation == cut.content
    assert [message.content for message in more.messages] == ["Count to six"]
    running = await last_message(chats, conversation.id)
    assert (running.id, running.state, running.content) == (cut.id, "streaming", cut.content)
    more.say(" three, four")
    more.finish("length")
    ended = await viewer.ended()
    assert (ended.id, ended.content, ended.state) == (cut.id, "One, two, 🙂 three, four", "complete")
    (delta,) = [event for event in viewer.events if isinstance(event, ReplyDelta)]
    assert delta.start == len(cut.content)
    assert len((await chats.thread(conversation.id)).messages) == 2


async def test_there_must_be_an_answer_to_go_on_with(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    with pytest.raises(NothingToContinue):
        await chats.continue_reply(conversation.id)
    await chats.send(conversation.id, "Hello")
    await engines.next_answer()
    await chats.stop(conversation.id)  # before its first word
    with pytest.raises(NothingToContinue):
        await chats.continue_reply(conversation.id)


async def test_a_deleted_chat_leaves_nothing_in_the_engine_nor_on_disk(
    chats: Chats, engines: FakeEngines, settings: Settings
) -> None:
    conversation, other = await chats.create(), await chats.create()
    await cut_answer(chats, engines, conversation.id)
    for name in (conversation.id, other.id):
        folder = settings.data_dir / "kv" / name
        folder.mkdir(parents=True)
        (folder / "model.kv").write_bytes(b"state")
    await chats.delete(conversation.id)
    assert engines.newest.forgotten == [conversation.id]
    assert [folder.name for folder in (settings.data_dir / "kv").iterdir()] == [other.id]
