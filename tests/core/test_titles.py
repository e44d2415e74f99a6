"""Titles: what is asked for, what is taken of the answer, and that they never stand in anybody's way."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.fake_engine import FakeAnswer, FakeEngines
from tests.core.waiting import until, until_async
from webui.core.chat import Chats
from webui.core.model_manager import ModelManager
from webui.core.titles import INSTRUCTION, build_title_request, clean_title
from webui.types import GenerationRequest, Message, Priority

QUESTION = "How do I bake a dark rye bread at home?"
ASKED = GenerationRequest(messages=(Message(role="user", content=QUESTION),), conversation="c", overflow="drop_oldest")


async def title_of(chats: Chats, conversation_id: str) -> str:
    return (await chats.thread(conversation_id)).conversation.title


async def first_answer(chats: Chats, engines: FakeEngines) -> tuple[str, FakeAnswer]:
    """A new chat whose first question was answered in order: its id, and the question for a title."""
    conversation = await chats.create()
    await chats.send(conversation.id, QUESTION, owner="ada")
    answer = await engines.next_answer()
    answer.say("With rye flour and patience.")
    answer.finish()
    return conversation.id, await engines.next_side_job()


async def test_after_its_first_answer_a_chat_gets_a_title_from_a_fork_of_itself(
    chats: Chats, engines: FakeEngines
) -> None:
    conversation_id, title = await first_answer(chats, engines)
    assert [message.content for message in title.messages] == [f"{QUESTION}\n\n{INSTRUCTION}"]
    request = title.request
    assert (request.is_side_job, request.priority, request.conversation) == (True, Priority.BACKGROUND, "")
    assert (request.owner, request.sampling.temperature, request.sampling.stop) == ("ada", 0.0, ("\n",))
    assert await title_of(chats, conversation_id) == QUESTION
    title.say(" Baking Dark")
    title.say(" Rye Bread")
    title.finish()
    await until_async(lambda: has_title(chats, conversation_id, "Baking Dark Rye Bread"))


async def has_title(chats: Chats, conversation_id: str, title: str) -> bool:
    return await title_of(chats, conversation_id) == title


async def test_a_name_of_ones_own_is_never_replaced(chats: Chats, engines: FakeEngines) -> None:
    conversation_id, title = await first_answer(chats, engines)
    await chats.rename(conversation_id, "Kitchen")
    await until(lambda: title.is_cancelled)
    assert await title_of(chats, conversation_id) == "Kitchen"


@pytest.mark.parametrize("action", ["send", "stop", "unload", "delete"])
async def test_whatever_the_person_does_next_ends_the_title_without_a_word(
    chats: Chats, engines: FakeEngines, models: ModelManager, action: str
) -> None:
    conversation_id, title = await first_answer(chats, engines)
    engine = engines.newest
    if action == "send":
        await chats.send(conversation_id, "And with wheat?")
    elif action == "stop":
        await chats.stop(conversation_id)
    elif action == "delete":
        await chats.delete(conversation_id)
    else:
        await models.unload()
    await until(lambda: title not in engine.answers)
    if action != "delete":
        assert await title_of(chats, conversation_id) == QUESTION


async def test_only_a_first_answer_that_ended_in_order_asks_for_a_title(chats: Chats, engines: FakeEngines) -> None:
    conversation_id, title = await first_answer(chats, engines)
    title.say("nothing of use")
    title.finish()
    await chats.send(conversation_id, "And with wheat?")
    second = await engines.next_answer()
    second.say("Just so.")
    second.finish()
    stopped = await chats.create()
    await chats.send(stopped.id, QUESTION)
    third = await engines.next_answer()
    third.say("With")
    await until(lambda: chats.waiting(stopped.id) is None)
    await chats.stop(stopped.id)
    await asyncio.sleep(0)
    assert engines.asked_aside.empty()
    assert await title_of(chats, conversation_id) == QUESTION


def test_the_fork_is_an_ordinary_request_that_leaves_nothing_behind() -> None:
    request = build_title_request(ASKED)
    assert request.messages[-1].content.startswith(QUESTION)
    assert (request.is_side_job, request.conversation, request.overflow) == (True, "", "error")


@pytest.mark.parametrize(
    ("written", "title"),
    [
        (" Baking Dark Rye Bread", "Baking Dark Rye Bread"),
        ('Title: "Rye Bread at Home."', "Rye Bread at Home"),
        ("**Dark *Rye* Bread**", "Dark Rye Bread"),
        ("\n\n# Topic - Rye bread\nand more", "Rye bread"),
        ("„Rye bread“", "Rye bread"),
        (' "Rye Bread" in 3 to 5 words', "Rye Bread"),
        (" 3 to 5 words about bread", None),
        ("", None),
        ("...", None),
        ("I'm sorry, but I cannot bake bread", None),
        ("Here is a title for the bread", None),
        ("The Sea of Shadows", None),  # about something else
        ("A Bread Function for Square Roots", None),  # mostly invented
        ("Breads", "Breads"),
        ("How With Patience", None),  # nothing of the question but a word that every sentence has
        ("A bread that is so very long in its name that no list could ever show it in full", None),
        ("Baking a bread is a process that takes time and rye", None),  # a sentence, no title
    ],
)
def test_what_is_taken_for_a_title(written: str, title: str | None) -> None:
    assert clean_title(written, ASKED.messages, "With rye flour and patience.") == title


def test_a_title_in_a_script_without_spaces_is_compared_by_its_characters() -> None:
    asked = (Message(role="user", content="如何在家烤黑麦面包？"),)
    assert clean_title("烤黑麦面包", asked, "") == "烤黑麦面包"
    assert clean_title("天气预报", asked, "") is None
