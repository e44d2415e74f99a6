"""What the model reads, and what a chat is called."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.prompt import MAX_TITLE_CHARACTERS, build_prompt, make_title
from webui.errors import ContextTooLong, EngineDied
from webui.types import ChatMessage, Role


def said(role: Role, content: str, *, error_code: str | None = None) -> ChatMessage:
    return ChatMessage(
        id="", conversation_id="", parent_id=None, role=role, content=content, created_at=0, error_code=error_code
    )


def turns(*path: ChatMessage, system: str = "") -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in build_prompt(path, system)]


def test_the_system_prompt_comes_first_when_there_is_one() -> None:
    assert turns(said("user", "Hi"), system="Be brief.") == [("system", "Be brief."), ("user", "Hi")]
    assert turns(said("user", "Hi"), system="  \n") == [("user", "Hi")]


def test_an_answer_that_was_stopped_counts_as_far_as_it_came() -> None:
    path = (said("user", "Tell me a story"), said("assistant", "Once upon"), said("user", "Go on"))
    assert turns(*path) == [("user", "Tell me a story"), ("assistant", "Once upon"), ("user", "Go on")]


def test_a_question_without_an_answer_joins_the_next_one_so_that_turns_alternate() -> None:
    path = (said("user", "My name is Ada."), said("assistant", "", error_code=EngineDied.code), said("user", "Well?"))
    assert turns(*path) == [("user", "My name is Ada.\n\nWell?")]


def test_a_question_that_the_model_cannot_read_does_not_spoil_the_next_one() -> None:
    path = (
        said("user", "Hi"),
        said("assistant", "Hello!"),
        said("user", "long " * 10_000),
        said("assistant", "", error_code=ContextTooLong.code),
        said("user", "A shorter question"),
    )
    assert turns(*path) == [("user", "Hi"), ("assistant", "Hello!"), ("user", "A shorter question")]


@given(
    st.lists(
        st.builds(
            said,
            st.sampled_from(["user", "assistant"]),
            st.sampled_from(["", "text"]),
            error_code=st.sampled_from([None, ContextTooLong.code, EngineDied.code]),
        )
    ),
    st.sampled_from(["", "system"]),
)
def test_whatever_was_said_turns_alternate_and_end_with_the_question(path: list[ChatMessage], system: str) -> None:
    roles = [role for role, _ in turns(*path, said("user", "last"), system=system)]
    assert all(first != second for first, second in pairwise(roles))
    assert roles[-1] == "user"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How do I bake bread?", "How do I bake bread?"),
        ("\n\n  How do\tI bake   bread?  \nI have flour.", "How do I bake bread?"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 59 + "…"),
        ("Please explain to me how a continuous batching scheduler hands out tokens", None),
        ("日本語のとても長い最初の行" * 10, None),
        ("   \n ", "New chat"),
    ],
)
def test_a_title_is_the_first_line_that_says_something_cut_at_a_word(text: str, title: str | None) -> None:
    made = make_title(text)
    assert len(made) <= MAX_TITLE_CHARACTERS
    if title is not None:
        assert made == title
    else:
        assert made.endswith("…") and " ".join(text.split()).startswith(made[:-1])
        assert text[len(made) - 1] == " " or " " not in text
