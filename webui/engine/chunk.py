"""A chunk: the tokens of one sequence in one step."""

from __future__ import annotations

from dataclasses import dataclass

from webui.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """`tokens` of a sequence from position `start`, all in one slot of one batch; the last `num_outputs` of them give
    logits."""

    sequence: Sequence
    slot: int
    start: int
    tokens: list[int]
    num_outputs: int

    @property
    def count(self) -> int:
        return len(self.tokens)

    @property
    def num_drafted(self) -> int:
        return max(0, self.num_outputs - 1)


def reading_chunk(sequence: Sequence, count: int) -> Chunk:
    """The next `count` prompt tokens of an admitted sequence."""
    assert sequence.slot is not None  # noqa: S101 - readers are admitted
    start = sequence.num_computed_tokens
    is_last = start + count == sequence.num_tokens
    has_output = is_last and not sequence.reads_only
    return Chunk(sequence, sequence.slot, start, sequence.tokens[start : start + count], int(has_output))
