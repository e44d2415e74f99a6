"""Conversations: trees of messages with one visible path."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webui.errors import UnknownConversation, UnknownMessage
from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.types import ChatMessage, Role, SamplingParams, Timings, Usage

USAGE = Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=7)
TIMINGS = Timings(queued_seconds=0.1, first_token_seconds=0.2, total_seconds=1.5, tokens_per_second=40.0)


def message(
    conversation_id: str, name: str, role: Role = "user", parent: str | None = None, text: str = ""
) -> ChatMessage:
    return ChatMessage(
        id=name, conversation_id=conversation_id, parent_id=parent, role=role, content=text, created_at=time.time()
    )


async def test_conversations_are_listed_newest_first_and_a_message_makes_one_the_newest(
    store: ConversationStore,
) -> None:
    first = await store.create(title="First")
    second = await store.create(title="Second")
    assert [each.title for each in await store.list()] == ["Second", "First"]
    await store.add_message(message(first.id, "m1"))
    assert [each.id for each in await store.list()] == [first.id, second.id]


async def test_renaming_does_not_reorder_and_deleting_takes_the_messages_along(
    store: ConversationStore, database: Database
) -> None:
    first = await store.create()
    second = await store.create()
    await store.rename(first.id, "Bread")
    assert [each.title for each in await store.list()] == ["New chat", "Bread"]
    await store.add_message(message(second.id, "m1"))
    await store.delete(second.id)
    assert [each.id for each in await store.list()] == [first.id]
    assert await database.fetch_all("SELECT id FROM messages") == []


async def test_a_conversation_longer_than_sqlites_trigger_depth_can_be_deleted(
    store: ConversationStore, database: Database
) -> None:
    conversation = await store.create()
    async with database.transaction() as connection:
        await connection.executemany(
            "INSERT INTO messages (id, conversation_id, parent_id, role, content, reasoning, state, created_at) "
            "VALUES (?, ?, ?, 'user', '', '', 'complete', 0)",
            [(f"m{n}", conversation.id, f"m{n - 1}" if n else None) for n in range(2500)],
        )
    await store.set_leaf(conversation.id, "m2499")
    assert [each.id for each in await store.path(conversation.id)] == [f"m{n}" for n in range(2500)]
    await store.delete(conversation.id)
    assert await store.list() == []


async def test_own_settings_are_kept_and_none_goes_back_to_the_defaults(store: ConversationStore) -> None:
    conversation = await store.create()
    sampling = SamplingParams(temperature=0.0, seed=7, stop=("\n\n", "END"))
    await store.update(conversation.id, system_prompt="Answer in rhymes.", sampling=sampling)
    stored = await store.get(conversation.id)
    assert (stored.system_prompt, stored.sampling) == ("Answer in rhymes.", sampling)
    await store.update(conversation.id, sampling=None)
    stored = await store.get(conversation.id)
    assert (stored.system_prompt, stored.sampling) == ("Answer in rhymes.", None)


async def test_a_regenerated_answer_is_a_sibling_and_both_can_be_shown(store: ConversationStore) -> None:
    conversation = await store.create()
    await store.add_message(message(conversation.id, "question"))
    await store.add_message(message(conversation.id, "answer 1", "assistant", "question"))
    await store.add_message(message(conversation.id, "answer 2", "assistant", "question"))
    assert [each.id for each in await store.path(conversation.id)] == ["question", "answer 2"]
    await store.set_leaf(conversation.id, "answer 1")
    assert [each.id for each in await store.path(conversation.id)] == ["question", "answer 1"]
    await store.set_leaf(conversation.id, None)
    assert await store.path(conversation.id) == ()


async def test_a_saved_message_comes_back_whole(store: ConversationStore) -> None:
    conversation = await store.create()
    streaming = message(conversation.id, "answer", "assistant")
    await store.add_message(streaming)
    complete = ChatMessage(
        id="answer",
        conversation_id=conversation.id,
        parent_id=None,
        role="assistant",
        content="Grüße 🌈 \x00 and \ud800".encode(errors="replace").decode(),
        created_at=streaming.created_at,
        state="failed",
        reasoning="Let me see.",
        model_name="SmolLM2 135M",
        error="The model stopped.",
        error_code="engine_died",
        finish_reason="length",
        usage=USAGE,
        timings=TIMINGS,
    )
    await store.save_message(complete)
    assert await store.path(conversation.id) == (complete,)


async def test_damaged_settings_of_one_chat_do_not_close_it(store: ConversationStore, database: Database) -> None:
    conversation = await store.create(title="Bread")
    async with database.transaction() as connection:
        await connection.execute('UPDATE conversations SET sampling = \'{"temperature": "hot"}\'')
    (listed,) = await store.list()
    assert (listed.id, listed.sampling) == (conversation.id, None)


async def test_what_does_not_exist_is_said(store: ConversationStore) -> None:
    conversation = await store.create()
    with pytest.raises(UnknownConversation):
        await store.get("gone")
    with pytest.raises(UnknownConversation):
        await store.path("gone")
    with pytest.raises(UnknownConversation):
        await store.rename("gone", "x")
    with pytest.raises(UnknownConversation):
        await store.delete("gone")
    with pytest.raises(UnknownConversation):
        await store.add_message(message("gone", "m"))
    with pytest.raises(UnknownMessage):
        await store.save_message(message(conversation.id, "m"))
    with pytest.raises(UnknownMessage):
        await store.set_leaf(conversation.id, "m")


async def test_a_leaf_is_a_message_of_its_own_conversation(store: ConversationStore) -> None:
    mine, other = await store.create(), await store.create()
    await store.add_message(message(other.id, "theirs"))
    with pytest.raises(UnknownMessage):
        await store.set_leaf(mine.id, "theirs")


async def test_replies_that_a_dead_process_left_are_closed_with_a_sentence(
    store: ConversationStore, database: Database
) -> None:
    conversation = await store.create()
    streaming = ChatMessage(
        id="answer",
        conversation_id=conversation.id,
        parent_id=None,
        role="assistant",
        content="Half an ans",
        created_at=0.0,
        state="streaming",
    )
    await store.add_message(streaming)
    assert await store.close_interrupted() == 1
    (closed,) = await store.path(conversation.id)
    assert (closed.state, closed.content) == ("failed", "Half an ans")
    assert closed.error is not None and "stopped while this was being written" in closed.error
    assert await store.close_interrupted() == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parents=st.lists(st.integers(min_value=0, max_value=30), max_size=30), leaf=st.integers(0, 29))
def test_the_path_is_the_way_from_the_root_to_the_leaf_in_any_tree(
    parents: list[int], leaf: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Node n hangs under parents[n] % n; the path that SQLite walks is the one that plain Python walks."""
    import asyncio

    async def check() -> None:
        database = await Database.open(tmp_path_factory.mktemp("tree") / "glasshouse.db")
        try:
            store = ConversationStore(database)
            conversation = await store.create()
            parent_of = {n: (parents[n] % n if n else None) for n in range(len(parents))}
            for n, parent in parent_of.items():
                await store.add_message(
                    message(conversation.id, str(n), parent=None if parent is None else str(parent))
                )
            if not parent_of:
                assert await store.path(conversation.id) == ()
                return
            node: int | None = leaf % len(parent_of)
            await store.set_leaf(conversation.id, str(node))
            expected: list[str] = []
            while node is not None:
                expected.insert(0, str(node))
                node = parent_of[node]
            assert [each.id for each in await store.path(conversation.id)] == expected
        finally:
            await database.close()

    asyncio.run(check())
