"""Slots: the sequence ids of the KV memory, and what lies in each.

A slot is held by a sequence, or idle with the tokens of a finished one still resident, or empty. `tokens` is always
exactly what the memory holds for that slot. It does not decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from webui.engine.protocol import SlotInfo, SlotList
from webui.engine.sequence import Sequence, Variant


@dataclass(slots=True, eq=False)
class Slot:
    """One sequence id of the KV memory."""

    id: int
    tokens: list[int] = field(default_factory=list)  #: computed and resident, in order of position
    owner: str = ""  #: whose tokens these are
    conversation: str = ""
    variant: Variant = ()
    is_side_job: bool = False  #: nobody will come back to these tokens
    is_stored: bool = False  #: this very state lies on disk
    num_pure: int | None = None  #: tokens that have seen no others than those before them; None: all
    sequence: Sequence | None = None  #: who holds it now
    last_used: int = 0  #: turn of the table's counter when it was last released

    @property
    def is_idle(self) -> bool:
        """Nobody holds it; it may still have a resident prefix."""
        return self.sequence is None


class SlotTable:
    """All slots. Acquire and release come in pairs; released slots keep their tokens until somebody needs the room."""

    def __init__(self, num_slots: int) -> None:
        self._slots = [Slot(id=index) for index in range(num_slots)]
        self._turn = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, slot_id: int) -> Slot:
        return self._slots[slot_id]

    @property
    def idle(self) -> list[Slot]:
        """Idle slots, empty ones first, then least recently used first."""
        idle = (slot for slot in self._slots if slot.is_idle)
        return sorted(idle, key=lambda slot: (bool(slot.tokens), slot.last_used))

    @property
    def sequences(self) -> list[Sequence]:
        """The admitted sequences, oldest first."""
        held = [slot.sequence for slot in self._slots if slot.sequence is not None]
        return sorted(held, key=lambda sequence: sequence.arrival)

    def acquire(self, slot: Slot, sequence: Sequence) -> None:
        slot.sequence, sequence.slot = sequence, slot.id
        slot.owner, slot.conversation, slot.variant = sequence.owner, sequence.conversation, sequence.variant
        slot.is_side_job, slot.is_stored = sequence.is_side_job, False

    def release(self, sequence: Sequence) -> Slot | None:
        """Take the slot back from `sequence`; None when it held none."""
        if sequence.slot is None:
            return None
        slot = self._slots[sequence.slot]
        self._turn += 1
        slot.sequence, slot.last_used, sequence.slot = None, self._turn, None
        return slot


def list_slots(slots: Iterable[Slot]) -> SlotList:
    """What is told of them; nothing of what was said."""
    return SlotList(slots=tuple(_describe(slot) for slot in slots))


def _describe(slot: Slot) -> SlotInfo:
    sequence = slot.sequence
    if sequence is None:
        return SlotInfo(id=slot.id, num_tokens=len(slot.tokens))
    return SlotInfo(
        id=slot.id,
        num_tokens=len(slot.tokens),
        is_processing=True,
        is_paused=sequence.is_paused,
        priority=sequence.priority.name.lower(),
        num_prompt_tokens=sequence.num_prompt_tokens,
        num_computed_tokens=sequence.num_computed_tokens,
        num_cached_tokens=sequence.num_cached_tokens,
        num_decoded_tokens=sequence.num_completion_tokens,
    )
