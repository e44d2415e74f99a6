"""What is left out when a conversation outgrows the context: the oldest turns, in large pieces.

The system prompt and the last turn always stay. Where the cut lies depends on the messages alone, and it moves by about
a quarter of the context at a time: so most turns begin with the same tokens as the one before, and the prefix cache
has them. Pure functions; they do not know tokens, only who counts them.
"""

from __future__ import annotations

from collections.abc import Callable

from webui.types import Message

RESERVED_SHARE = 4  #: a quarter of the context is left free for the answer
IMAGE_CHARACTERS = 2000  #: that an image counts for: it takes some hundreds of tokens


def drop_oldest(
    messages: tuple[Message, ...], fits: Callable[[tuple[Message, ...]], bool], context_tokens: int
) -> tuple[Message, ...]:
    """The messages without as many of the oldest as it takes to fit; when nothing helps, with the least that is left.

    `fits` is asked a few times only (it renders and tokenizes): the candidates are searched by bisection.
    """
    cuts = _cuts(messages, block_characters=context_tokens)
    low, high = 0, len(cuts) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(_without(messages, cuts[middle])):
            high = middle
        else:
            low = middle + 1
    return _without(messages, cuts[low])


def _without(messages: tuple[Message, ...], cut: int) -> tuple[Message, ...]:
    """System messages and what stands at `cut` or behind it."""
    return tuple(message for index, message in enumerate(messages) if index >= cut or message.role == "system")


def _cuts(messages: tuple[Message, ...], *, block_characters: int) -> list[int]:
    """Where the kept part may begin: at a question, the first one behind each block of text; last, the last question.

    A block of as many characters as the context has tokens is about a quarter of it.
    """
    questions = [index for index, message in enumerate(messages) if message.role == "user"]
    cuts, size, next_block = [0], 0, block_characters
    for index, message in enumerate(messages):
        if message.role == "user" and size >= next_block:
            cuts.append(index)
            next_block = (size // block_characters + 1) * block_characters
        if message.role != "system":
            size += len(message.content) + IMAGE_CHARACTERS * len(message.images)
    if questions and cuts[-1] != questions[-1]:
        cuts.append(questions[-1])
    return cuts
