"""Conversations as people see them: send, watch, stop, regenerate; nothing that was written is lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.fake_engine import TIMINGS, USAGE, FakeCatalog, FakeEngines
from tests.core.waiting import until, until_async
from webui.core.chat import MAX_MESSAGE_BYTES, Chats
from webui.core.model_manager import ModelManager
from webui.errors import (
    AlreadyAnswering,
    ContextTooLong,
    EmptyMessage,
    MessageTooLarge,
    NoModel,
    OutOfMemory,
    UnknownConversation,
    UnknownMessage,
)
from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.store.preferences import Preferences
from webui.types import (
    ChatEvent,
    ChatMessage,
    Conversation,
    MessageAdded,
    Priority,
    ReplyDelta,
    ReplyEnded,
    ReplyWaiting,
    SamplingParams,
    ThreadReplaced,
)


class Viewer:
    """An open page: it puts the conversation together from what it is told, and from nothing else."""

    def __init__(self, chats: Chats, conversation_id: str) -> None:
        self.events: list[ChatEvent] = []
        self.close = chats.watch(conversation_id, self.events.append)

    @property
    def text(self) -> str:
        text = ""
        for event in self.events:
            if isinstance(event, ReplyDelta) and event.field == "content":
                assert event.start == len(text), "deltas neither overlap nor leave a gap"
                text += event.text
        return text

    @property
    def waits(self) -> list[ReplyWaiting]:
        return [event for event in self.events if isinstance(event, ReplyWaiting)]

    async def ended(self, *, times: int = 1) -> ChatMessage:
        """The final message of the reply that ended last, once so many ended."""

        def ends() -> list[ChatMessage]:
            return [event.message for event in self.events if isinstance(event, ReplyEnded)]

        await until(lambda: len(ends()) >= times)
        return ends()[-1]


async def last_message(chats: Chats, conversation_id: str) -> ChatMessage:
    return (await chats.thread(conversation_id)).messages[-1]


# --- a good conversation -------------------------------------------------------------------------------------------


async def test_a_question_is_answered_and_stored(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    question = await chats.send(conversation.id, "What is glass?", owner="ada")
    answer = await engines.next_answer()
    assert [(message.role, message.content) for message in answer.messages] == [("user", "What is glass?")]
    assert (answer.owner, answer.priority) == ("ada", Priority.INTERACTIVE)
    for word in ("Glass ", "is ", "a ", "liquid? ", "No. ", "🪟"):
        answer.say(word)
    answer.finish()

    ended = await viewer.ended()
    assert viewer.text == ended.content == "Glass is a liquid? No. 🪟"
    assert (ended.state, ended.finish_reason, ended.error) == ("complete", "stop", None)
    assert (ended.usage, ended.timings, ended.model_name) == (USAGE, TIMINGS, "starter")
    thread = await chats.thread(conversation.id)
    assert thread.messages == (question, ended)
    assert ended.parent_id == question.id
    added = [event.message.role for event in viewer.events if isinstance(event, MessageAdded)]
    assert added == ["user", "assistant"]
    assert not thread.conversation.is_answering


async def test_the_first_message_names_the_chat_and_a_name_of_ones_own_stays(
    chats: Chats, engines: FakeEngines
) -> None:
    unnamed, named = await chats.create(), await chats.create()
    await chats.rename(named.id, "Kitchen")
    for conversation in (unnamed, named):
        await chats.send(conversation.id, "How do I bake bread?\nI have flour.")
    assert {each.id: each.title for each in await chats.list()} == {
        unnamed.id: "How do I bake bread?",
        named.id: "Kitchen",
    }


async def test_the_model_reads_the_conversation_so_far_and_its_settings(
    chats: Chats, engines: FakeEngines, preferences: Preferences
) -> None:
    await preferences.set(system_prompt="Be kind.", sampling=SamplingParams(temperature=0.1))
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "One")
    first = await engines.next_answer()
    assert first.messages[0].content == "Be kind."
    assert first.sampling == SamplingParams(temperature=0.1)
    first.say("1")
    first.finish()
    await viewer.ended()

    own = SamplingParams(seed=7)
    await chats.update(conversation.id, system_prompt="Be brief.", sampling=own)
    await chats.send(conversation.id, "Two")
    second = await engines.next_answer()
    assert [message.content for message in second.messages] == ["Be brief.", "One", "1", "Two"]
    assert second.sampling == own


async def test_what_the_model_thinks_is_kept_apart_from_what_it_says(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Hm?")
    answer = await engines.next_answer()
    answer.think("The person ")
    answer.think("wonders.")
    answer.say("Yes.")
    answer.finish("length")
    ended = await viewer.ended()
    assert (ended.reasoning, ended.content, ended.finish_reason) == ("The person wonders.", "Yes.", "length")
    thoughts = [event for event in viewer.events if isinstance(event, ReplyDelta) and event.field == "reasoning"]
    assert "".join(event.text for event in thoughts) == "The person wonders."


async def test_many_small_deltas_go_out_twenty_times_a_second_at_most(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Count")
    answer = await engines.next_answer()
    for number in range(2000):
        answer.say(f"{number} ")
    answer.finish()
    await viewer.ended()
    assert viewer.text == "".join(f"{number} " for number in range(2000))
    assert sum(isinstance(event, ReplyDelta) for event in viewer.events) <= 10


async def test_the_first_words_go_out_at_once(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Hi")
    (await engines.next_answer()).say("Hello")
    for _ in range(20):
        await asyncio.sleep(0)
    assert viewer.text == "Hello"


# --- several people and pages --------------------------------------------------------------------------------------


async def test_a_page_that_comes_late_gets_the_text_so_far_and_continues_without_a_seam(
    chats: Chats, engines: FakeEngines
) -> None:
    conversation = await chats.create()
    early = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Tell me")
    answer = await engines.next_answer()
    answer.say("Once upon a tïme ")
    await until(lambda: early.text)

    late: list[ChatEvent] = []
    chats.watch(conversation.id, late.append)
    thread = await chats.thread(conversation.id)
    assert thread.conversation.is_answering
    assert (thread.messages[-1].content, thread.messages[-1].state) == ("Once upon a tïme ", "streaming")
    answer.say("there was")
    answer.finish()
    ended = await early.ended()
    delta = next(event for event in late if isinstance(event, ReplyDelta))
    assert (delta.start, thread.messages[-1].content + delta.text) == (17, ended.content)


async def test_nobody_has_to_watch(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Tell me")
    viewer.close()
    viewer.close()
    answer = await engines.next_answer()
    answer.say("All of it.")
    answer.finish()

    async def is_complete() -> bool:
        return (await last_message(chats, conversation.id)).state == "complete"

    await until_async(is_complete)
    assert (await last_message(chats, conversation.id)).content == "All of it."


async def test_conversations_are_answered_side_by_side_and_the_list_shows_which(
    chats: Chats, engines: FakeEngines
) -> None:
    first, second = await chats.create(), await chats.create()
    viewers = [Viewer(chats, first.id), Viewer(chats, second.id)]
    news: list[None] = []
    chats.changed.subscribe(news.append)
    await chats.send(first.id, "One")
    one = await engines.next_answer()
    await chats.send(second.id, "Two")
    two = await engines.next_answer()
    assert [each.is_answering for each in await chats.list()] == [True, True]
    two.finish()
    await viewers[1].ended()
    assert {each.id: each.is_answering for each in await chats.list()} == {first.id: True, second.id: False}
    assert len(news) == 3  # two began, one ended
    one.finish()
    await viewers[0].ended()


async def test_one_reply_at_a_time_in_a_conversation(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    outcomes = await asyncio.gather(
        *(chats.send(conversation.id, f"Number {number}") for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, ChatMessage) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyAnswering) for outcome in outcomes) == 4
    with pytest.raises(AlreadyAnswering):
        await chats.regenerate(conversation.id)
    assert len((await chats.thread(conversation.id)).messages) == 2


async def test_a_page_that_goes_away_while_sending_does_not_leave_half_of_it(
    chats: Chats, engines: FakeEngines
) -> None:
    conversation = await chats.create()
    sending = asyncio.create_task(chats.send(conversation.id, "Hello"))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending})
    answer = await engines.next_answer()
    answer.say("Hi")
    answer.finish()

    async def roles() -> list[str]:
        return [message.role for message in (await chats.thread(conversation.id)).messages]

    async def has_both() -> bool:
        return await roles() == ["user", "assistant"]

    await until_async(has_both)


# --- waiting -------------------------------------------------------------------------------------------------------


async def test_who_waits_knows_why_also_when_they_come_late(chats: Chats, engines: FakeEngines) -> None:
    engines.may_load.clear()
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Hi")
    reply = await last_message(chats, conversation.id)
    await until(lambda: engines.made)
    engines.newest.report_progress(0.25)
    assert chats.waiting(conversation.id) == ReplyWaiting(message_id=reply.id, phase="loading", progress=0.25)
    engines.may_load.set()
    answer = await engines.next_answer()
    answer.queue(2)
    answer.read(128, 512)
    await until(lambda: viewer.waits[-1].phase == "reading")
    assert [(each.phase, each.position, each.progress) for each in viewer.waits[-2:]] == [
        ("queued", 2, 0.0),
        ("reading", 0, 0.25),
    ]
    answer.say("Hello")
    await until(lambda: viewer.text)
    assert chats.waiting(conversation.id) is None
    answer.finish()
    await viewer.ended()
    assert chats.waiting(conversation.id) is None


# --- stopping ------------------------------------------------------------------------------------------------------


async def test_stop_keeps_the_text_and_cancels_in_the_engine(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Go on for ever")
    answer = await engines.next_answer()
    answer.say("and on ")
    await until(lambda: viewer.text)
    answer.say("and on")
    await asyncio.gather(chats.stop(conversation.id), chats.stop(conversation.id))
    stopped = await last_message(chats, conversation.id)
    assert (stopped.state, stopped.error) == ("stopped", None)
    assert stopped.content == viewer.text == "and on and on"
    assert (stopped.usage, stopped.timings) == (USAGE, TIMINGS), "a stopped answer tells its speed too"
    assert answer.is_cancelled
    assert (await viewer.ended()) == stopped
    await chats.stop(conversation.id)  # nothing runs: nothing happens


async def test_stop_works_before_the_model_is_even_loaded(chats: Chats, engines: FakeEngines) -> None:
    engines.may_load.clear()
    conversation = await chats.create()
    await chats.send(conversation.id, "Hi")
    await chats.stop(conversation.id)
    assert (await last_message(chats, conversation.id)).state == "stopped"
    assert not (await chats.thread(conversation.id)).conversation.is_answering


async def test_deleting_a_chat_in_mid_answer_stops_it(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Hi")
    answer = await engines.next_answer()
    await chats.delete(conversation.id)
    assert answer.is_cancelled
    assert await chats.list() == []
    assert isinstance(viewer.events[-1], ThreadReplaced)
    with pytest.raises(UnknownConversation):
        await chats.thread(conversation.id)


# --- regenerating --------------------------------------------------------------------------------------------------


async def test_regenerate_puts_a_new_answer_beside_the_old_one(
    chats: Chats, engines: FakeEngines, database: Database
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    question = await chats.send(conversation.id, "A number?")
    first = await engines.next_answer()
    first.say("One")
    first.finish()
    await viewer.ended()
    await chats.regenerate(conversation.id, owner="ada")
    second = await engines.next_answer()
    assert second.messages == first.messages
    assert isinstance(viewer.events[-1], ThreadReplaced)
    second.say("Two")
    second.finish()
    ended = await viewer.ended(times=2)
    assert (await chats.thread(conversation.id)).messages == (question, ended)
    assert ended.content == "Two"
    rows = await database.fetch_all("SELECT content FROM messages WHERE parent_id = ?", (question.id,))
    assert {row[0] for row in rows} == {"One", "Two"}


async def test_there_has_to_be_a_question_to_answer_anew(chats: Chats) -> None:
    conversation = await chats.create()
    with pytest.raises(UnknownMessage):
        await chats.regenerate(conversation.id)


# --- what goes wrong -----------------------------------------------------------------------------------------------


async def test_messages_that_cannot_be_sent_are_refused_and_leave_nothing(chats: Chats) -> None:
    conversation = await chats.create()
    for empty in ("", "  \n\t "):
        with pytest.raises(EmptyMessage):
            await chats.send(conversation.id, empty)
    with pytest.raises(MessageTooLarge):
        await chats.send(conversation.id, "ä" * (MAX_MESSAGE_BYTES // 2 + 1))
    with pytest.raises(UnknownConversation):
        await chats.send("gone", "Hello")
    with pytest.raises(EmptyMessage):
        await chats.rename(conversation.id, " ")
    assert (await chats.thread(conversation.id)).messages == ()


async def test_half_a_surrogate_pair_does_no_harm(chats: Chats, engines: FakeEngines) -> None:
    conversation = await chats.create()
    await chats.rename(conversation.id, "\ud83d chat")
    question = await chats.send(conversation.id, "Hello \ud83d")
    assert question.content == "Hello ?"


async def test_an_engine_that_dies_leaves_what_was_written_and_the_next_message_works(
    chats: Chats, engines: FakeEngines, models: ModelManager
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Tell me")
    answer = await engines.next_answer()
    answer.say("Once upon")
    await until(lambda: viewer.text)
    engines.newest.die("it was killed")
    failed = await viewer.ended()
    assert (failed.state, failed.content, failed.error_code) == ("failed", "Once upon", "engine_died")
    assert failed.error is not None and "What was written is kept" in failed.error
    assert models.status.state == "failed"

    await chats.send(conversation.id, "Go on")
    again = await engines.next_answer()
    assert [message.content for message in again.messages] == ["Tell me", "Once upon", "Go on"]
    again.say("a time")
    again.finish()
    assert (await viewer.ended(times=2)).content == "a time"


async def test_unloading_in_mid_answer_is_said_under_it(
    chats: Chats, engines: FakeEngines, models: ModelManager
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Tell me")
    (await engines.next_answer()).say("Once upon")
    await until(lambda: viewer.text)
    await models.unload()
    failed = await viewer.ended()
    assert (failed.state, failed.content, failed.error_code) == ("failed", "Once upon", "engine_stopped")


async def test_a_question_too_long_for_the_model_stays_and_its_failure_can_be_tried_again(
    chats: Chats, engines: FakeEngines
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    question = await chats.send(conversation.id, "long " * 1000)
    (await engines.next_answer()).fail(ContextTooLong(5000, 2048))
    failed = await viewer.ended()
    assert failed.error is not None and "5,000" in failed.error and "2,048" in failed.error
    assert (await chats.thread(conversation.id)).messages == (question, failed)
    await chats.regenerate(conversation.id)
    answer = await engines.next_answer()
    assert [message.content for message in answer.messages] == [question.content]
    answer.say("It fits now.")
    answer.finish()
    assert (await viewer.ended(times=2)).state == "complete"


async def test_a_model_that_cannot_be_loaded_is_said_under_the_question(
    chats: Chats, engines: FakeEngines, catalog: FakeCatalog
) -> None:
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    engines.failures["starter"] = OutOfMemory("starter")
    await chats.send(conversation.id, "Hi")
    assert (await viewer.ended()).error == str(OutOfMemory("starter"))
    catalog.models = []
    await chats.send(conversation.id, "Hi?")
    assert (await viewer.ended(times=2)).error == str(NoModel())


async def test_text_is_saved_while_it_is_written(chats: Chats, engines: FakeEngines, store: ConversationStore) -> None:
    conversation = await chats.create()
    await chats.send(conversation.id, "Tell me")
    (await engines.next_answer()).say("Half an answer")

    async def is_saved() -> bool:
        stored = (await store.path(conversation.id))[-1]
        return (stored.content, stored.state) == ("Half an answer", "streaming")

    await until_async(is_saved)


async def test_closing_saves_running_replies_and_says_what_happened(
    chats: Chats, engines: FakeEngines, store: ConversationStore
) -> None:
    writing, waiting = await chats.create(), await chats.create()
    viewer = Viewer(chats, writing.id)
    await chats.send(writing.id, "Tell me")
    (await engines.next_answer()).say("Once upon")
    await until(lambda: viewer.text)
    starting = asyncio.create_task(chats.send(waiting.id, "Me too"))
    await asyncio.sleep(0)
    await chats.close()
    await starting
    for conversation, text in ((writing, "Once upon"), (waiting, "")):
        reply = (await store.path(conversation.id))[-1]
        assert (reply.role, reply.state, reply.content) == ("assistant", "failed", text)
        assert reply.error is not None and "Glasshouse was stopped" in reply.error


async def answer_on_a_full_disk(
    chats: Chats, engines: FakeEngines, database: Database
) -> tuple[Viewer, Conversation, ChatMessage]:
    """An answer that the disk did not take; it takes nothing until `query_only` is off."""
    conversation = await chats.create()
    viewer = Viewer(chats, conversation.id)
    await chats.send(conversation.id, "Tell me")
    answer = await engines.next_answer()
    await database.fetch_all("PRAGMA query_only = ON")
    answer.say("Once upon")
    answer.finish()
    return viewer, conversation, await viewer.ended()


async def test_a_full_disk_is_said_and_does_not_wedge_the_chat(
    chats: Chats, engines: FakeEngines, database: Database
) -> None:
    viewer, conversation, ended = await answer_on_a_full_disk(chats, engines, database)
    assert (ended.state, ended.content, ended.error_code) == ("failed", "Once upon", "store_failed")
    await database.fetch_all("PRAGMA query_only = OFF")
    await chats.send(conversation.id, "Again")
    (await engines.next_answer()).finish()
    assert (await viewer.ended(times=2)).state == "complete"


async def test_an_answer_that_the_disk_did_not_take_is_shown_and_saved_when_there_is_room(
    chats: Chats, engines: FakeEngines, database: Database, store: ConversationStore
) -> None:
    _, conversation, _ = await answer_on_a_full_disk(chats, engines, database)
    shown = (await chats.thread(conversation.id)).messages[-1]
    assert (shown.state, shown.content, shown.error_code) == ("failed", "Once upon", "store_failed")
    await database.fetch_all("PRAGMA query_only = OFF")
    shown = (await chats.thread(conversation.id)).messages[-1]
    assert (shown.state, shown.content, shown.error) == ("complete", "Once upon", None)
    assert (await store.path(conversation.id))[-1] == shown
