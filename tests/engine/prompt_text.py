"""What a rendered prompt says, for prompts without images."""

from __future__ import annotations

from webui.engine.chat_format import Prompt


def texts(prompt: Prompt) -> tuple[str, ...]:
    """The pieces that are tokenized one by one."""
    found = tuple(piece for piece in prompt.pieces if isinstance(piece, str))
    assert len(found) == len(prompt.pieces), "there is an image"
    return found


def text(prompt: Prompt) -> str:
    return "".join(texts(prompt))
