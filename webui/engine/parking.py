"""Parked states: what a slot held, kept in RAM while somebody else has the slot.

A bounded store of bytes. When a new state does not fit, those unused for longest go; one that is larger than the whole
store is not taken. It does not know what a state is, nor which tokens it stands for: the prefix cache does, and is told
what went.
"""

from __future__ import annotations

from collections import OrderedDict

ParkedKey = int  #: given out by the prefix cache


class Parking:
    """At most `max_bytes` of states, least recently used first out; 0 keeps nothing."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._states: OrderedDict[ParkedKey, bytes] = OrderedDict()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, key: ParkedKey) -> bool:
        return key in self._states

    def add(self, key: ParkedKey, state: bytes) -> list[ParkedKey]:
        """Keep `state` under `key`, instead of what was there. Returns the keys that are gone for it, `key` itself when
        its state is too big: then nothing else has to go."""
        self.remove(key)
        if len(state) > self.max_bytes:
            return [key]
        evicted = []
        while self.num_bytes + len(state) > self.max_bytes:
            oldest = next(iter(self._states))
            self.remove(oldest)
            evicted.append(oldest)
        self._states[key] = state
        self.num_bytes += len(state)
        return evicted

    def get(self, key: ParkedKey) -> bytes:
        """The state, which counts as used now. Raises KeyError when it is not there."""
        self._states.move_to_end(key)
        return self._states[key]

    def remove(self, key: ParkedKey) -> None:
        """Forget a state; it need not be there."""
        self.num_bytes -= len(self._states.pop(key, b""))
