"""Keeps values up to a number of bytes; those that were not asked for longest go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class BytesCache(Generic[V]):
    """By key, for any thread. A value that is larger than all the room is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self.num_bytes = 0

    def get(self, key: bytes) -> V | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: bytes, value: V, num_bytes: int) -> None:
        with self._lock:
            if key in self._values:
                self.num_bytes -= self._values.pop(key)[1]
            if num_bytes > self._max_bytes:
                return
            self._values[key] = (value, num_bytes)
            self.num_bytes += num_bytes
            while self.num_bytes > self._max_bytes:
                _, (_, gone) = self._values.popitem(last=False)
                self.num_bytes -= gone
