"""A KV memory that remembers what every token has seen, and a model that says what follows from that.

Each cell holds its token and a digest of everything that stood before it when it was computed, as a real cell's keys
and values do. So a prefix that is reused where it does not belong, cells that moved, or another adapter's cells show up
at once, and as a wrong answer. It refuses at random where llama.cpp may refuse.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.engine.chunk import Chunk
from webui.engine.runner import KvFull
from webui.engine.sequence import Variant
from webui.engine.state_files import StateFiles, StoredState

_MASK = 2**48 - 1
NUM_TOKENS = 40


def begin(variant: Variant) -> int:
    """What the model has seen before the first token: its adapters."""
    return zlib.crc32(repr(variant).encode())


def see(digest: int, tokens: Iterable[int]) -> int:
    """What it has seen behind these tokens, order and all."""
    for token in tokens:
        digest = (digest * 6364136223846793005 + token * 1442695040888963407 + 11) & _MASK
    return digest


def next_token(digest: int) -> int:
    """The model: a token that depends on everything that was seen."""
    return (digest >> 20) % NUM_TOKENS


def answer(prompt: Sequence[int], length: int, variant: Variant) -> list[int]:
    """What the model says when it has the machine to itself."""
    said: list[int] = []
    digest = see(begin(variant), prompt)
    for _ in range(length):
        said.append(next_token(digest))
        digest = see(digest, said[-1:])
    return said


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One token in the memory; two slots that share it hold the very same object."""

    token: int
    digest: int  #: of all that it has seen, itself included


class FakeMemory:
    """Satisfies `KvMemory`, and computes. `refusal` is the probability of every refusal that is llama.cpp's right."""

    def __init__(
        self, rng: random.Random, *, num_cells: int, slot_cells: int, shares_cells: bool, can_trim: bool, refusal: float
    ) -> None:
        self.shares_cells = shares_cells
        self.can_trim = can_trim
        self.num_cells = num_cells
        self.slots: dict[int, list[Cell]] = {}
        self._slot_cells = slot_cells
        self._rng = rng
        self._refusal = refusal

    # --- what is there -----------------------------------------------------------------------------------------------

    def tokens(self, slot: int) -> list[int]:
        return [cell.token for cell in self.slots.get(slot, ())]

    @property
    def num_used(self) -> int:
        """Cells that somebody holds; a shared one counts once."""
        return len({id(cell) for cells in self.slots.values() for cell in cells})

    # --- computing ---------------------------------------------------------------------------------------------------

    def compute(self, chunks: Sequence[Chunk]) -> list[list[int]]:
        """The tokens that follow, one for each output of each chunk. Raises KvFull, and then nothing was computed."""
        if self.shares_cells and self.num_used + sum(chunk.count for chunk in chunks) > self.num_cells:
            raise KvFull
        rows = []
        for chunk in chunks:
            cells = self.slots.setdefault(chunk.slot, [])
            assert len(cells) == chunk.start, "a chunk must go on where its slot ends"
            assert len(cells) + chunk.count <= self._slot_cells, "a slot holds one context"
            for token in chunk.tokens:
                seen = cells[-1].digest if cells else begin(chunk.sequence.variant)
                cells.append(Cell(token, see(seen, [token])))
            rows.append([next_token(cell.digest) for cell in cells[len(cells) - chunk.num_outputs :]])
        return rows

    # --- KvMemory ----------------------------------------------------------------------------------------------------

    def trim(self, slot: int, length: int) -> bool:
        if length < len(self.slots[slot]) and (not self.can_trim or self._refuses()):
            return False
        del self.slots[slot][length:]
        return True

    def copy(self, source: int, target: int, length: int) -> bool:
        assert not self.slots.get(target), "the target must be empty"
        assert length <= len(self.slots[source])
        if self._refuses() or (not self.can_trim and length < len(self.slots[source])):
            return False
        cells = self.slots[source][:length]
        self.slots[target] = cells if self.shares_cells else [Cell(cell.token, cell.digest) for cell in cells]
        return True

    def clear(self, slot: int) -> None:
        self.slots[slot] = []

    def save(self, slot: int) -> bytes | None:
        cells = self.slots.get(slot)
        if not cells or self._refuses():
            return None
        return json.dumps([[cell.token, cell.digest] for cell in cells]).encode()

    def restore(self, slot: int, state: bytes) -> bool:
        assert not self.slots.get(slot), "the slot must be empty"
        cells = [Cell(token, digest) for token, digest in json.loads(state)]
        assert len(cells) <= self._slot_cells
        if self._refuses() or (self.shares_cells and self.num_used + len(cells) > self.num_cells):
            return False
        self.slots[slot] = cells
        return True

    def shift(self, slot: int, keep: int, discard: int) -> bool:
        cells = self.slots[slot]
        if not self.can_trim or self._refuses() or self._shares(slot) or keep + discard >= len(cells):
            return False
        del cells[keep : keep + discard]
        return True

    def _shares(self, slot: int) -> bool:
        mine = {id(cell) for cell in self.slots[slot]}
        return any(id(cell) in mine for other, cells in self.slots.items() if other != slot for cell in cells)

    def _refuses(self) -> bool:
        return self._rng.random() < self._refusal


class FakeFiles(StateFiles):
    """States that outlive the process, in a dictionary; now and then one is lost, or never written."""

    def __init__(self, rng: random.Random, loss: float) -> None:
        self._states: dict[str, tuple[StoredState, bytes]] = {}
        self._rng = rng
        self._loss = loss
        self.num_bytes = 0

    def load_index(self) -> list[StoredState]:
        return [stored for stored, _ in self._states.values()]

    def write(self, conversation: str, tokens: Sequence[int], state: bytes) -> StoredState | None:
        if self._rng.random() < self._loss:
            return None
        stored = StoredState(conversation, tuple(tokens), Path(conversation))
        self._states[conversation] = stored, state
        return stored

    def read(self, stored: StoredState) -> bytes | None:
        found, state = self._states.get(stored.conversation, (None, b""))
        return state if found is stored and self._rng.random() >= self._loss else None

    def forget(self, conversation: str) -> None:
        self._states.pop(conversation, None)

    def flush(self, timeout: float) -> None:
        """Everything is written at once."""

    def has(self, conversation: str) -> bool:
        return conversation in self._states
