"""A chunk: the tokens of one sequence in one step."""

from __future__ import annotations

from dataclasses import dataclass

from webui.engine.image_span import ImageSpan
from webui.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """`tokens` of a sequence from position `start`, all in one slot of one batch; the last `num_outputs` of them give
    logits. Where they are rows of an image (`image`), the chunk is a step of its own."""

    sequence: Sequence
    slot: int
    start: int
    tokens: list[int]
    num_outputs: int
    image: ImageSpan | None = None

    @property
    def count(self) -> int:
        return len(self.tokens)

    @property
    def num_drafted(self) -> int:
        return max(0, self.num_outputs - 1)


def reading_chunk(sequence: Sequence, count: int) -> Chunk:
    """The next `count` prompt tokens of an admitted sequence, all of them text or all of one image."""
    assert sequence.slot is not None  # noqa: S101 - readers are admitted
    start = sequence.num_computed_tokens
    is_last = start + count == sequence.num_tokens
    has_output = is_last and not sequence.reads_only
    tokens = sequence.tokens[start : start + count]
    return Chunk(sequence, sequence.slot, start, tokens, int(has_output), sequence.next_image)
