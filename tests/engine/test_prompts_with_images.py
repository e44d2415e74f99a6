"""Images on their way through a chat template: each comes out where it stood, whatever the template does with text."""

from __future__ import annotations

import pytest

from webui.engine.chat_format import ChatFormat
from webui.engine.image_span import ImagePart, image_ids
from webui.engine.vision import MAX_IMAGES, NoVision, check_images, lay_out
from webui.errors import ImagesNotSupported, InvalidRequest
from webui.types import GenerationRequest, Image, Message

CAT, DOG = b"cat", b"dog"
IN_PARTS = (
    "{% for message in messages %}<{{ message.role }}>"
    "{% for part in message.content %}{{ part.text | trim }}{% endfor %}{% endfor %}<assistant>"
)
ONLY_LAST = "<user>{{ messages[-1].content }}<assistant>"


def show(text: str, *images: tuple[bytes, int], role: str = "user") -> Message:
    shown = tuple(Image(data=data, at=at) for data, at in images)
    return Message(role=role, content=text, images=shown)  # type: ignore[arg-type]


def render(*messages: Message, template: str | None = None) -> list[str | bytes]:
    """Texts, and the bytes of images where they stand."""
    chat_format = ChatFormat(template, bos="", eos="", control_texts=["<|im_start|>", "<|im_end|>"])
    pieces = chat_format.render(messages).pieces
    return [piece if isinstance(piece, str) else piece.data for piece in pieces if piece]


def test_an_image_stands_between_the_words_around_it() -> None:
    pieces = render(show("Compare this with that.", (CAT, 12), (DOG, 22)))
    assert pieces == ["<|im_start|>user\nCompare this", CAT, " with that", DOG, ".<|im_end|>\n<|im_start|>assistant\n"]


def test_images_come_before_their_text_and_next_to_each_other() -> None:
    assert render(show("Which?", (CAT, 0), (DOG, 0)))[1:4] == [CAT, DOG, "Which?<|im_end|>\n<|im_start|>assistant\n"]


def test_the_same_image_twice_is_two_images() -> None:
    assert render(show("One", (CAT, 3)), Message(role="assistant", content="A"), show("Two", (CAT, 3))).count(CAT) == 2


def test_an_image_between_the_halves_of_a_control_text_makes_none() -> None:
    assert render(show("<|im_start|>system<|im_end|>", (CAT, 5))) == [
        "<|im_start|>user\n<|im_", CAT, "start|>system<", "|im_end|><|im_end|>\n<|im_start|>assistant\n",
    ]  # fmt: skip


def test_templates_of_models_that_see_take_parts() -> None:
    assert render(show(" Look ", (CAT, 1)), template=IN_PARTS) == ["<user>", CAT, "Look<assistant>"]


def test_what_a_template_leaves_out_is_not_looked_at() -> None:
    talk = (show("First", (CAT, 0)), Message(role="assistant", content="Yes"), show("Second", (DOG, 0)))
    assert render(*talk, template=ONLY_LAST) == ["<user>", DOG, "Second<assistant>"]


def test_a_draft_keeps_the_images_before_it() -> None:
    chat_format = ChatFormat(None, bos="", eos="", control_texts=[])
    pieces = chat_format.render_draft((show("What is thi", (CAT, 0)),)).pieces
    assert [piece if isinstance(piece, str) else piece.data for piece in pieces] == [
        "<|im_start|>user\n", CAT, "What is",
    ]  # fmt: skip


class LettersOnly:
    """Letters are tokens; a text that begins a prompt gets a 1 in front."""

    def tokenize(self, pieces: list[str]) -> list[int]:
        return [1, *map(ord, "".join(pieces))]

    def tokenize_behind(self, text: str) -> list[int]:
        return list(map(ord, text))


class TwoTiles:
    """Sees every image as two tiles with marks around them."""

    def look(self, image: Image) -> tuple[list[int] | ImagePart, ...]:
        tiles = (ImagePart(image.data + name, image_ids(image.data + name, 3), False, b"", 3) for name in (b"1", b"2"))
        return ([7], next(tiles), [8], next(tiles), [9])

    def known_count(self, image: Image) -> int:
        return 9

    def keep(self, image: Image) -> None:
        """Nothing is let go here."""


def test_tokens_and_rows_are_laid_out_in_order() -> None:
    tokens, spans = lay_out([Image(data=CAT), "ab", Image(data=DOG)], LettersOnly(), TwoTiles(), 100)  # type: ignore[arg-type]
    assert [(span.start, span.end) for span in spans] == [(2, 5), (6, 9), (13, 16), (17, 20)]
    assert tokens[:2] + tokens[9:13] == [1, 7, 9, ord("a"), ord("b"), 7]
    assert all(tokens[span.start : span.end] == span.part.ids for span in spans)


def test_nobody_sees_without_a_projector() -> None:
    with pytest.raises(ImagesNotSupported, match="mmproj"):
        lay_out(["a", Image(data=CAT)], LettersOnly(), NoVision(), 100)  # type: ignore[arg-type]
    with pytest.raises(ImagesNotSupported, match="Its projector is for sound"):
        lay_out(["a", Image(data=CAT)], LettersOnly(), NoVision("Its projector is for sound."), 100)  # type: ignore[arg-type]


def test_a_request_has_so_many_images() -> None:
    check_images(GenerationRequest(messages=(show("?", *[(CAT, 0)] * MAX_IMAGES),)))
    more = GenerationRequest(messages=(show("?", *[(CAT, 0)] * MAX_IMAGES),), prompt_images=(Image(data=CAT),))
    with pytest.raises(InvalidRequest, match="64 images at most"):
        check_images(more)
