"""Texts to ask with: plain words, each one token in the tokenizer of SmolLM2 (and of the random model, which has the
same), different for each seed so that no cache knows them, the same for every contestant.
"""

from __future__ import annotations

import random

from glasshouse_bench.client import Message

_WORDS = """
    time year people way day man thing woman life child world school state family student group country problem
    hand part place case week company system program question work government number night point home water room
    mother area money story fact month lot right study book eye job word business issue side kind head house service
    friend father power hour game line end member law car city community name president team minute idea body
    information back parent face others level office door health person art war history party result change morning
    reason research girl guy moment air teacher force education
""".split()  # noqa: SIM905 - it is read as words


def words(count: int, seed: str) -> str:
    """`count` words, which are about as many tokens."""
    source = random.Random(seed)
    return " ".join(source.choices(_WORDS, k=count))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def story(seed: str) -> list[Message]:
    """A short question with a long answer."""
    return [user(f"Tell a very long story about the {words(3, seed)}.")]


def paste(count: int, seed: str) -> list[Message]:
    """A question with a text of `count` tokens before it."""
    return [user(f"{words(count, seed)}\n\nWhat is this text about?")]


def history(count: int, seed: str) -> list[Message]:
    """A chat of about `count` tokens in four turns, and one more question."""
    quarter = count // 4
    turns = [make(words(quarter, f"{seed}/{number}")) for number, make in enumerate((user, assistant, user, assistant))]
    return [*turns, *story(seed)]
