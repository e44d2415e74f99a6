"""A title for a conversation, written by the model that has just answered in it.

It is a fork of the conversation's own state: the same messages with one short instruction behind them, so that next to
nothing has to be read for it. Small models write poor titles now and then; what does not look like a title of this
conversation is not taken, and the first line of the question stays. It knows prompts and words; it does not know
stores or engines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from webui.core.prompt import MAX_TITLE_CHARACTERS
from webui.types import GenerationRequest, Message, Priority, SamplingParams

INSTRUCTION = "Name this chat in 3 to 5 words."
BEGINNING = "Title:"  #: the answer begins with it: the model neither thinks nor chats first

_MAX_TOKENS = 16
_MAX_WORDS = 9
_LABEL = re.compile(r"^(?:chat |conversation )?(?:title|topic|subject)\s*[:：-]\s*", re.IGNORECASE)
_MARKUP = re.compile(r"[*_`#]+|^>\s*|<[^>]*>")
_ENDS = " \t\"'“”„‘’«».,;:!?-–—()[]{}"
_QUOTED = re.compile(r"\s*[\"“„«](.+?)[\"”“»]")
_REFUSAL = re.compile(
    r"\b(?:3 to 5 words|i['’]?m|i am|i can(?:no|['’])t|i don['’]?t|sorry|as an ai|language model|here(?:['’]s| is)"
    r"|sure)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w{3,}")
_FIRST_UNSPACED = "\u2e80"  # Chinese, Japanese, Korean


def build_title_request(asked: GenerationRequest) -> GenerationRequest:
    """The question for a title of what `asked` began.

    The instruction joins the question instead of following the answer: small models write better titles so, and it
    costs nothing behind an answer that was thought about either (templates take former thoughts out of a conversation,
    so that its answer would have to be read again).
    """
    *before, last = asked.messages
    return msgspec.structs.replace(
        asked,
        messages=(*before, Message(role=last.role, content=f"{last.content}\n\n{INSTRUCTION}")),
        sampling=SamplingParams(temperature=0.0, max_tokens=_MAX_TOKENS, stop=("\n",)),
        priority=Priority.BACKGROUND,
        conversation="",
        continuation=BEGINNING,
        overflow="error",
        is_side_job=True,
    )


def clean_title(written: str, asked: Sequence[Message], answer: str) -> str | None:
    """The title in what the model wrote, or None when it wrote none that fits the conversation."""
    line = next((line for line in written.splitlines() if line.strip()), "")
    title = _LABEL.sub("", _MARKUP.sub("", line).strip())
    if quoted := _QUOTED.match(title):
        title = quoted[1]
    title = " ".join(title.strip(_ENDS).split())
    if not title or len(title) > MAX_TITLE_CHARACTERS or len(title.split()) > _MAX_WORDS or _REFUSAL.search(title):
        return None
    question = " ".join(message.content for message in asked if message.role == "user")
    return title if _is_about(title, question, answer) else None


def _is_about(title: str, question: str, answer: str) -> bool:
    """Whether at least half of the title's words were said, and a telling one of them in the question.

    In scripts without spaces between words, whether half of its characters were said.
    """
    if any(character >= _FIRST_UNSPACED for character in title):
        letters = [character for character in title if character.isalpha()]
        return 2 * sum(character in question + answer for character in letters) >= len(letters) > 0
    words, asked = _words(title), _words(question)
    if not _known(_telling(words), asked):
        return False
    return 2 * len(_known(words, asked | _words(answer))) >= len(words)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _telling(words: set[str]) -> set[str]:
    """The longer ones, where there are any: short words are mostly of the kind that every sentence has."""
    return {word for word in words if len(word) > 3} or words


def _known(words: set[str], others: set[str]) -> set[str]:
    """The words that are among the others, or are a longer or shorter form of one: egg and eggs, plan and planning."""
    return {word for word in words if any(word.startswith(other) or other.startswith(word) for other in others)}
