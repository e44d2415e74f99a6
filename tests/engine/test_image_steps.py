"""Images in the scheduler: steps of their own, whole where they must be, shared whole or not at all."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.engine.house import House, alone
from webui.engine.image_span import ImagePart, ImageSpan, image_ids
from webui.engine.scheduler import STEPS_SCATTERED
from webui.engine.sequence import Sequence
from webui.errors import ContextTooLong

Piece = str | ImagePart


def image(name: str, count: int = 20, *, is_whole: bool = False) -> ImagePart:
    return ImagePart(name.encode(), image_ids(name.encode(), count), is_whole, b"", count)


def lay(*pieces: Piece) -> tuple[list[int], tuple[ImageSpan, ...]]:
    tokens: list[int] = []
    spans = []
    for piece in pieces:
        if isinstance(piece, str):
            tokens += map(ord, piece)
        else:
            spans.append(ImageSpan(len(tokens), piece))
            tokens += piece.ids
    return tokens, tuple(spans)


def ask(house: House, *pieces: Piece, answer: int = 3) -> Sequence:
    tokens, spans = lay(*pieces)
    return house.ask(tokens, answer=answer, images=spans)


def test_ids_are_the_images_own() -> None:
    ids = image_ids(b"cat", 1000)
    assert all(-(2**31) <= each < 0 for each in ids)
    assert ids == image_ids(b"cat", 1000)
    assert not set(ids) & set(image_ids(b"dog", 1000))


def test_an_image_is_read_between_others_tokens() -> None:
    house = House(batch=16)
    writer = ask(house, "hello", answer=12)
    house.step()
    reader = ask(house, "see ", image("cat", 40), " there")
    steps = []
    while reader not in house.ended:
        steps.append([(chunk.sequence is reader, chunk.image is not None, chunk.count) for chunk in house.step()])
    sizes = [count for step in steps for is_reader, is_image, count in step if is_image]
    assert sizes == [16, 16, 8], "as much as a step holds"
    pictures = [any(is_image for _, is_image, _ in step) for step in steps]
    assert not any(one and two for one, two in itertools.pairwise(pictures)), "others in between"
    house.run()
    assert house.ended == [reader, writer]
    assert reader.tokens == alone(lay("see ", image("cat", 40), " there")[0], 3)


def test_an_image_takes_no_longer_steps_than_a_text() -> None:
    house = House(batch=64)
    ask(house, "see ", image("cat", 40), answer=1)
    house.step()
    (chunk,) = house.scheduler.schedule(max_tokens=10)
    assert (chunk.image is not None, chunk.count) == (True, 10)


@pytest.mark.parametrize("can_trim", [True, False])
def test_rows_that_see_each_other_are_one_step(can_trim: bool) -> None:
    house = House(batch=32, can_trim=can_trim, parked_bytes=100_000)
    ask(house, "a ", image("cat", 30, is_whole=True), image("dog", 30, is_whole=True), "b", answer=2)
    assert [chunk.count for _ in range(3) for chunk in house.step()] == [2, 30, 30]


def test_a_prefix_never_ends_inside_an_image() -> None:
    """Two images whose first rows have the same ids: as unlikely as it is, nothing of one is taken for the other."""
    house = House()
    cat, other = image("cat"), image("other")
    other.ids[:7] = cat.ids[:7]
    tokens, spans = lay("see ", cat, "?")
    first = house.ask(tokens, images=spans)
    house.run()
    tokens, spans = lay("see ", other, "?")
    second = house.ask(tokens, images=spans)
    house.run()
    assert second.num_cached_tokens == len("see ")
    again = ask(house, "see ", cat, "!")
    house.run()
    assert again.num_cached_tokens == len("see ") + cat.count
    assert {first, second, again} <= set(house.ended)


def test_who_reads_images_is_moved_only_afterwards() -> None:
    house = House(slots=3, kv=450, context=150, batch=8, layout="separate")
    ask(house, "hello" * 21, answer=44)  # the shorter of the outer two is moved
    short = ask(house, "hi", answer=2)
    reader = ask(house, "see ", image("cat", 80), "?", answer=40)
    while short not in house.ended:
        house.step()
    assert reader.slot == 2
    while not reader.is_running:
        assert reader.slot == 2
        house.step()
    for _ in range(STEPS_SCATTERED + 2):
        house.step()
    assert reader.slot == 1
    house.run()


def test_an_image_that_no_memory_holds_is_a_typed_error() -> None:
    house = House(kv=64, context=64, batch=64)
    ask(house, "x" * 30, image("cat", 33, is_whole=True), answer=1)
    house.step()
    house.scheduler._cells.num_cells = 40  # llama.cpp turned out to have less
    with pytest.raises(ContextTooLong):
        house.step()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("can_trim", [True, False])
def test_random_chats_with_images_say_what_they_would_say_alone(seed: int, can_trim: bool) -> None:
    chance = random.Random(seed)
    layout = chance.choice(["shared", "separate"])
    kv = 300 if layout == "shared" else 450
    house = House(slots=3, kv=kv, context=150, batch=24, can_trim=can_trim, parked_bytes=4000, layout=layout)  # type: ignore[arg-type]
    pictures = [image(f"{number}", chance.choice([4, 18, 24]), is_whole=chance.random() < 0.5) for number in range(4)]
    asked: dict[Sequence, tuple[list[int], int]] = {}
    for _ in range(25):
        pieces: list[Piece] = []
        for _ in range(chance.randint(1, 3)):
            pieces += [chance.choice(["hello ", "look: ", "a", "and then " * 3]), chance.choice(pictures)]
        tokens, spans = lay(*pieces, chance.choice(["?", "what"]))
        if len(tokens) >= house.scheduler.max_tokens:
            continue
        answer = chance.randint(1, 6)
        sequence = house.ask(tokens, owner=chance.choice("abc"), answer=answer, images=spans)
        asked[sequence] = (tokens, answer)
        for _ in range(chance.randint(0, 8)):
            house.step()
    house.run()
    assert set(house.ended) == set(asked)
    for sequence, (tokens, answer) in asked.items():
        assert sequence.tokens == alone(tokens, min(answer, house.scheduler.max_tokens - len(tokens)))
