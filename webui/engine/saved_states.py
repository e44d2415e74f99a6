"""States outside the slots: parked in RAM, and stored on disk, one for each conversation.

It keeps them and knows when one is gone; which tokens they stand for, and who may use them, is the prefix cache's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from webui.engine.parking import ParkedKey, Parking
from webui.engine.state_files import StateFiles, StoredState

LEAST_STORED = 64  #: tokens; fewer are read again sooner than a file is found


@dataclass(slots=True, eq=False)
class Saved:
    """One saved state; either parked under `key`, or stored in a file."""

    conversation: str
    key: ParkedKey | None = None
    stored: StoredState | None = None

    @property
    def kind(self) -> Literal["parked", "disk"]:
        return "parked" if self.key is not None else "disk"


class SavedStates:
    """Parking and files behind one face. `files` None: nothing outlives the process."""

    def __init__(self, parking: Parking, files: StateFiles | None) -> None:
        self._parking = parking
        self._files = files
        self._keys = count(1)
        self._parked: dict[ParkedKey, Saved] = {}
        self._stored: dict[str, Saved] = {}  # by conversation

    @property
    def can_park(self) -> bool:
        return self._parking.max_bytes > 0

    @property
    def parked_bytes(self) -> int:
        return self._parking.num_bytes

    @property
    def stored_bytes(self) -> int:
        return self._files.num_bytes if self._files is not None else 0

    def load_index(self) -> Iterator[tuple[Sequence[int], Saved]]:
        """What lies on disk from former processes, with its tokens."""
        for stored in self._files.load_index() if self._files is not None else ():
            saved = self._stored[stored.conversation] = Saved(stored.conversation, stored=stored)
            yield stored.tokens, saved

    def park(self, tokens: Sequence[int], conversation: str, state: bytes) -> tuple[Saved | None, list[Saved]]:
        """Keep a state in RAM: its handle (None when it is too big), and those that are gone for it."""
        saved = Saved(conversation, key=next(self._keys))
        assert saved.key is not None  # noqa: S101 - just given
        self._parked[saved.key] = saved
        evicted = [self._parked.pop(key) for key in self._parking.add(saved.key, state)]
        if saved in evicted:
            evicted.remove(saved)
            return None, evicted
        return saved, evicted

    def can_store(self, conversation: str, tokens: Sequence[int]) -> bool:
        return self._files is not None and bool(conversation) and len(tokens) >= LEAST_STORED

    def store(self, conversation: str, tokens: Sequence[int], state: bytes) -> tuple[Saved | None, Saved | None]:
        """Write a conversation's state in place of its former one: the former's handle, and the new one's."""
        former = self._stored.pop(conversation, None)
        stored = self._files.write(conversation, tokens, state) if self._files is not None else None
        if stored is None:
            return former, None
        saved = self._stored[conversation] = Saved(conversation, stored=stored)
        return former, saved

    def load(self, saved: Saved) -> bytes | None:
        """The state; None when it is gone or damaged."""
        if saved.key is not None:
            return self._parking.get(saved.key) if saved.key in self._parking else None
        return self._files.read(saved.stored) if self._files is not None and saved.stored is not None else None

    def remove(self, saved: Saved) -> None:
        """Forget one state. A file that cannot be used is overwritten when its conversation goes on."""
        if saved.key is not None:
            self._parking.remove(saved.key)
            self._parked.pop(saved.key, None)
        elif self._stored.get(saved.conversation) is saved:
            del self._stored[saved.conversation]

    def forget(self, conversation: str) -> list[Saved]:
        """Drop everything of a conversation, its file too; the handles that are void now."""
        gone = [saved for saved in self._parked.values() if saved.conversation == conversation]
        for saved in gone:
            self.remove(saved)
        if (stored := self._stored.pop(conversation, None)) is not None:
            gone.append(stored)
        if self._files is not None:
            self._files.forget(conversation)
        return gone

    def flush(self, timeout: float) -> None:
        """Wait until what was stored is on disk."""
        if self._files is not None:
            self._files.flush(timeout)
