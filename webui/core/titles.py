"""A title for a conversation, written by the model that has just answered in it.

It is a fork of the conversation's own state: the same messages, the answer, and one short instruction behind them, so
that next to nothing has to be read for it. Small models write poor titles now and then; what is not clearly better than
the first line of the question is not taken. It knows prompts and words; it does not know stores or engines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from webui.core.prompt import MAX_TITLE_CHARACTERS
from webui.types import GenerationRequest, Message, Priority, SamplingParams

INSTRUCTION = "Write a title for this chat in 3 to 5 words."
BEGINNING = "Title:"  #: the answer begins with it: the model neither thinks nor chats first

_MAX_TOKENS = 16
_MAX_WORDS = 9
_LABEL = re.compile(r"^(?:chat |conversation )?(?:title|topic|subject)\s*[:：-]\s*", re.IGNORECASE)
_MARKUP = re.compile(r"[*_`#]+|^>\s*|<[^>]*>")
_ENDS = " \t\"'“”„‘’«».,;:!?-–—()[]{}"
_REFUSAL = re.compile(
    r"\b(?:i['’]?m|i am|i can(?:no|['’])t|i don['’]?t|sorry|as an ai|language model|here(?:['’]s| is)|sure)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w{3,}")


def build_title_request(asked: GenerationRequest, answer: str, *, has_thought: bool) -> GenerationRequest:
    """The question for a title of what `asked` began and `answer` ended.

    Templates take former thoughts out of a conversation, so behind an answer that was thought about nothing would be
    in memory any more: there the title is asked for with the question itself.
    """
    if has_thought:
        *before, last = asked.messages
        messages = (*before, Message(role=last.role, content=f"{last.content}\n\n{INSTRUCTION}"))
    else:
        reply = Message(role="assistant", content=answer)
        messages = (*asked.messages, reply, Message(role="user", content=INSTRUCTION))
    return msgspec.structs.replace(
        asked,
        messages=messages,
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
    title = _LABEL.sub("", _MARKUP.sub("", line).strip(_ENDS))
    title = " ".join(title.strip(_ENDS).split())
    if not title or len(title) > MAX_TITLE_CHARACTERS or len(title.split()) > _MAX_WORDS or _REFUSAL.search(title):
        return None
    said = " ".join([*(message.content for message in asked if message.role == "user"), answer])
    return title if _words(title) & _words(said) else None


def _words(text: str) -> set[str]:
    """What a word begins with: inflections count as the same word."""
    return {word.lower()[:5] for word in _WORD.findall(text)}
