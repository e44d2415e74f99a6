"""From a visible path of messages to what the model reads, and from a first message to a title.

Pure functions; they know neither stores nor engines.
"""

from __future__ import annotations

from collections.abc import Sequence

from webui.errors import ContextTooLong, MessageTooLarge, TemplateFailed
from webui.types import ChatMessage, Message

MAX_TITLE_CHARACTERS = 60

_HOPELESS = {ContextTooLong.code, MessageTooLarge.code, TemplateFailed.code}


def build_prompt(path: Sequence[ChatMessage], system_prompt: str) -> tuple[Message, ...]:
    """The system prompt (where there is one) and the path as alternating turns, which many chat templates insist on.

    A question that the model could never have read (too long for its context, say) is left out together with its
    failed answer, or it would spoil every question after it. A question whose answer failed otherwise, or was stopped
    before its first word, is still part of what was said: it joins the next question.
    """
    turns: list[Message] = [Message(role="system", content=system_prompt)] if system_prompt.strip() else []
    for message in path:
        if message.role == "assistant" and not message.content:
            if message.error_code in _HOPELESS and turns and turns[-1].role == "user":
                turns.pop()
        elif turns and turns[-1].role == message.role:
            turns[-1] = Message(role=message.role, content=f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(Message(role=message.role, content=message.content))
    return tuple(turns)


def make_title(text: str) -> str:
    """The first line that says something, cut at a word so that it fits a side list."""
    line = next((line for line in (" ".join(raw.split()) for raw in text.splitlines()) if line), "New chat")
    if len(line) <= MAX_TITLE_CHARACTERS:
        return line
    head = line[:MAX_TITLE_CHARACTERS]  # one more than fits beside the ellipsis: a word may end exactly there
    cut = head.rfind(" ")
    return f"{head[:cut] if cut > MAX_TITLE_CHARACTERS // 2 else head[:-1]}…"
