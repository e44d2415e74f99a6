"""Prompts with images: from pieces of text and images to tokens, and to the places where the images' rows stand.

It does not know how an image becomes rows: that is the projector's.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import NoReturn

from webui.engine.image_span import ImagePart, ImageSpan
from webui.engine.runner import Vision, Vocabulary
from webui.errors import ContextTooLong, ImagesNotSupported, InvalidRequest
from webui.types import GenerationRequest, Image

MAX_IMAGES = 64  #: of one request; each takes hundreds of tokens


class NoVision:
    """Of a model that does not see. `reason`: a sentence, where there is more to say than that it has no projector."""

    def __init__(self, reason: str = "") -> None:
        self._reason = reason

    def look(self, image: Image) -> NoReturn:
        raise ImagesNotSupported(self._reason)

    def known_count(self, image: Image) -> int:
        return 0  # it will not be looked at

    def keep(self, image: Image) -> None:
        """There is nothing."""


def images_of(request: GenerationRequest) -> list[Image]:
    """All of them, in order."""
    return [*request.prompt_images, *(image for message in request.messages for image in message.images)]


def split_at_images(text: str, images: tuple[Image, ...]) -> tuple[str | Image, ...]:
    """The text in pieces, with the images between them where they stand."""
    pieces: list[str | Image] = []
    start = 0
    for image in images:
        at = max(start, image.at)
        pieces += [text[start:at], image]
        start = at
    return (*pieces, text[start:])


def check_images(request: GenerationRequest) -> None:
    """Raises InvalidRequest for too many images."""
    num_images = len(images_of(request))
    if num_images > MAX_IMAGES:
        raise InvalidRequest(
            f"A request has {MAX_IMAGES} images at most, and this one has {num_images}. Leave some out."
        )


def lay_out(
    pieces: Items[str | Image], vocabulary: Vocabulary, vision: Vision, max_tokens: int
) -> tuple[list[int], tuple[ImageSpan, ...]]:
    """The tokens of the joined pieces, and where in them images stand.

    Raises InvalidRequest for an image that cannot be read, ImagesNotSupported where nobody sees, and ContextTooLong as
    soon as it is clear that the images alone are too many: none is looked at in vain.
    """
    counts = [vision.known_count(piece) or 0 for piece in pieces if isinstance(piece, Image)]
    if sum(counts) > max_tokens:
        raise ContextTooLong(sum(counts), max_tokens)
    beginning: list[str] = []
    for piece in pieces:
        if isinstance(piece, Image):
            break
        beginning.append(piece)
    tokens = vocabulary.tokenize(beginning or [""])
    spans: list[ImageSpan] = []
    for piece in pieces[len(beginning) :]:
        if isinstance(piece, str):
            tokens += vocabulary.tokenize_behind(piece)
            continue
        if len(tokens) > max_tokens:
            raise ContextTooLong(len(tokens), max_tokens)
        for part in vision.look(piece):
            if isinstance(part, ImagePart):
                spans.append(ImageSpan(len(tokens), part))
                tokens += part.ids
            else:
                tokens += part
    return tokens, tuple(spans)
