"""From a visible path of messages to what the model reads, and from a first message to a title.

Pure functions; they know neither stores nor engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from webui.errors import ContextTooLong, ImagesNotSupported, MessageTooLarge, TemplateFailed
from webui.types import ChatMessage, Image, Message

MAX_TITLE_CHARACTERS = 60

_HOPELESS = {ContextTooLong.code, MessageTooLarge.code, TemplateFailed.code, ImagesNotSupported.code}
_NO_IMAGES: Mapping[str, bytes] = MappingProxyType({})


def build_prompt(
    path: Sequence[ChatMessage], system_prompt: str, images: Mapping[str, bytes] = _NO_IMAGES
) -> tuple[Message, ...]:
    """The system prompt (where there is one) and the path as alternating turns, which many chat templates insist on.
    `images`: what the path's pictures are, by id.

    A question that the model could never have read (too long, or with a picture that it cannot see) is left out
    together with its failed answer, or it would spoil every question after it. A question whose answer failed
    otherwise, or was stopped before its first word, is still part of what was said: it joins the next question.
    """
    turns: list[Message] = [Message(role="system", content=system_prompt)] if system_prompt.strip() else []
    for message in path:
        if message.role == "assistant" and not message.content:
            if message.error_code in _HOPELESS and turns and turns[-1].role == "user":
                turns.pop()
        elif turns and turns[-1].role == message.role:
            turns[-1] = _joined(turns[-1], message, images)
        else:
            turns.append(Message(role=message.role, content=message.content, images=_images(message, images)))
    return tuple(turns)


def _images(message: ChatMessage, images: Mapping[str, bytes], at: int = 0) -> tuple[Image, ...]:
    return tuple(Image(data=images[each], at=at) for each in message.images)


def _joined(before: Message, message: ChatMessage, images: Mapping[str, bytes]) -> Message:
    text = f"{before.content}\n\n"
    shown = (*before.images, *_images(message, images, len(text)))
    return Message(role=before.role, content=text + message.content, images=shown)


def make_title(text: str) -> str:
    """The first line that says something, cut at a word so that it fits a side list."""
    line = next((line for line in (" ".join(raw.split()) for raw in text.splitlines()) if line), "New chat")
    if len(line) <= MAX_TITLE_CHARACTERS:
        return line
    head = line[:MAX_TITLE_CHARACTERS]  # one more than fits beside the ellipsis: a word may end exactly there
    cut = head.rfind(" ")
    return f"{head[:cut] if cut > MAX_TITLE_CHARACTERS // 2 else head[:-1]}…"
