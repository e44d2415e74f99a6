"""The prefix cache: finds the resident tokens that a new sequence need not compute, and puts them into its slot.

Every slot's tokens are the cache: those of running sequences as well as those that finished ones left behind. A
sequence that goes on where its owner's earlier one ended takes that slot over in place; any other hit is shared by
reference (`copy`, which costs nothing in a unified KV memory). At least the last token is always computed again,
because its logits are needed. What the memory refuses (a recurrent state cannot be trimmed, a sliding window has
forgotten its beginning) is cleared and computed from the start. It does not know who may be admitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from webui.engine.kv_cells import KvCells
from webui.engine.sequence import Sequence
from webui.engine.slots import Slot, SlotTable


class KvMemory(Protocol):
    """What the KV memory itself must be able to do; the runner is one. Slots are sequence ids."""

    def trim(self, slot: int, length: int) -> bool:
        """Keep the first `length` tokens. False: the memory cannot, and the slot must be cleared."""

    def copy(self, source: int, target: int, length: int) -> bool:
        """Share the first `length` tokens of `source` with the empty `target`. False: the memory cannot."""

    def clear(self, slot: int) -> None:
        """Forget everything in `slot`. Never fails."""


@dataclass(frozen=True, slots=True)
class Match:
    """The longest resident prefix of a sequence; `slot` None means that nothing matches."""

    slot: Slot | None
    length: int


def common_prefix(left: list[int], right: list[int]) -> int:
    """How many tokens two lists share from the start. Slices compare in C, so a bisection beats a loop."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


class PrefixCache:
    """Finds and places prefixes over the slots, the account of the cells, and the memory itself."""

    def __init__(self, slots: SlotTable, cells: KvCells, memory: KvMemory) -> None:
        self._slots = slots
        self._cells = cells
        self._memory = memory

    def find(self, sequence: Sequence) -> Match:
        """The slot with the longest common prefix; among equals one that could be taken over in place."""
        best = Match(None, 0)
        for slot in sorted(self._slots, key=lambda slot: not slot.is_idle):
            length = min(common_prefix(slot.tokens, sequence.tokens), sequence.num_tokens - 1)
            if length > best.length:
                best = Match(slot, length)
        return best

    def place(self, sequence: Sequence, match: Match) -> None:
        """Give `sequence` a slot that holds as much of the match as the memory lets it have."""
        idle = self._slots.idle
        target = self._choose_target(sequence, match, idle)
        if match.slot is None:
            self.drop(target)
        elif target is match.slot:
            self._trim(target, match.length)
        else:
            self.drop(target)
            self._copy(match.slot, target, match.length)
        self._slots.acquire(target, sequence)
        sequence.num_computed_tokens = len(target.tokens)
        if sequence.num_completion_tokens == 0:
            sequence.num_cached_tokens = len(target.tokens)

    def drop(self, slot: Slot) -> None:
        """Empty a slot, in the memory and in the account."""
        if slot.tokens:
            self._memory.clear(slot.id)
            self._cells.trim(slot.id, 0)
            slot.tokens = []

    def drop_oldest(self) -> bool:
        """Drop the least recently used idle prefix; False when there is none."""
        for slot in self._slots.idle:
            if slot.tokens:
                self.drop(slot)
                return True
        return False

    @staticmethod
    def _choose_target(sequence: Sequence, match: Match, idle: list[Slot]) -> Slot:
        """In place for the owner's own continuation (most of the slot is kept), else elsewhere if there is a place."""
        source = match.slot
        if source is None or not source.is_idle:
            return idle[0]
        is_continuation = source.owner == sequence.owner and 2 * match.length >= len(source.tokens)
        others = [slot for slot in idle if slot is not source]
        return source if is_continuation or not others else others[0]

    def _trim(self, slot: Slot, length: int) -> None:
        if length == len(slot.tokens):
            return
        if self._memory.trim(slot.id, length):
            self._cells.trim(slot.id, length)
            del slot.tokens[length:]
        else:
            self.drop(slot)

    def _copy(self, source: Slot, target: Slot, length: int) -> None:
        if self._memory.copy(source.id, target.id, length):
            self._cells.share(source.id, target.id, length)
            target.tokens = source.tokens[:length]
