"""What is left out when a conversation outgrows the context."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webui.engine.context_policy import drop_oldest
from webui.types import Image, Message

CONTEXT = 100


def chat(num_turns: int, *, size: int = 40) -> tuple[Message, ...]:
    turns = [
        Message(role=role, content=f"{turn} {role} ".ljust(size, "."))
        for turn in range(num_turns)
        for role in ("user", "assistant")
    ]
    return (Message(role="system", content="Be kind."), *turns, Message(role="user", content="And now?"))


def fits(messages: tuple[Message, ...]) -> bool:
    """A tokenizer with four characters a token."""
    return sum(len(message.content) for message in messages) <= 4 * CONTEXT


def test_the_system_prompt_and_the_last_question_stay() -> None:
    kept = drop_oldest(chat(50), fits, CONTEXT)
    assert fits(kept)
    assert kept[0].role == "system"
    assert kept[1].role == "user", "what is kept begins with a question"
    assert kept[-1].content == "And now?"


def test_most_turns_begin_with_the_same_words_as_the_one_before() -> None:
    firsts = [drop_oldest(chat(num_turns), fits, CONTEXT)[1] for num_turns in range(10, 60)]
    num_blocks = 50 * 80 // CONTEXT  # 50 turns of two messages of 40 characters
    assert len(set(firsts)) <= num_blocks + 1, "the cut moves by blocks, not with every turn"


def test_images_count_as_long_texts() -> None:
    """A chat of images with few words: not all turns but the last go at once."""
    shown = (Image(data=b"picture"),)
    turns = [Message(role=role, content="?", images=shown if role == "user" else ()) for role in ("user", "assistant")]

    def fits_images(messages: tuple[Message, ...]) -> bool:
        return sum(len(message.images) for message in messages) <= 4

    kept = drop_oldest((*turns * 8, Message(role="user", content="And now?")), fits_images, 1000)
    assert sum(len(message.images) for message in kept) == 4


def test_a_question_that_is_too_long_by_itself_is_left_with_the_system_prompt() -> None:
    messages = (*chat(5), Message(role="user", content="x" * 1000))
    assert [message.role for message in drop_oldest(messages, fits, CONTEXT)] == ["system", "user"]


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.integers(0, 300)), min_size=1))
def test_what_is_kept_is_in_order_and_as_much_as_a_block_allows(roles: list[tuple[str, int]]) -> None:
    messages = tuple(Message(role=role, content="x" * size) for role, size in roles)  # type: ignore[arg-type]
    kept = drop_oldest(messages, fits, CONTEXT)
    assert [message for message in kept if message.role == "system"] == [m for m in messages if m.role == "system"]
    if fits(messages):
        assert kept == messages
    if messages[-1].role == "user":
        assert kept[-1] is messages[-1]
