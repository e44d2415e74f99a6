"""Where the response cache keeps answers: in this process's memory, or in a Redis that several servers share.

It knows bytes under keys, how many and how old they may become, and nothing of answers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from webui.errors import ConfigurationError

_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
_ENTRY_COST = 300  #: bytes of memory that an entry takes beside its value
_LARGEST_SHARE = 8  # one answer takes at most this part of the whole


@dataclass(frozen=True, slots=True)
class CacheSize:
    num_entries: int
    num_bytes: int


class CacheStore(Protocol):
    """It may forget anything at any time, and what fails in it is a miss: it never raises."""

    @property
    def size(self) -> CacheSize | None:
        """None where it is not counted here."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes) -> None: ...

    async def close(self) -> None: ...


class MemoryStore:
    """The least recently used goes first when there is more than `max_bytes`; nothing gets older than `age_seconds`
    (negative: for ever)."""

    def __init__(self, max_bytes: int, age_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._age_seconds = age_seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # when it was put, and what
        self._num_bytes = 0

    @property
    def size(self) -> CacheSize:
        return CacheSize(len(self._entries), self._num_bytes)

    async def get(self, key: str) -> bytes | None:
        if key not in self._entries:
            return None
        put_at, value = self._entries[key]
        if 0 <= self._age_seconds < self._clock() - put_at:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes) -> None:
        if len(value) + _ENTRY_COST > self._max_bytes // _LARGEST_SHARE:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (self._clock(), value)
        self._num_bytes += len(value) + _ENTRY_COST
        while self._num_bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def close(self) -> None:
        self._entries.clear()
        self._num_bytes = 0

    def _drop(self, key: str) -> None:
        _, value = self._entries.pop(key)
        self._num_bytes -= len(value) + _ENTRY_COST


def create_store(place: str, max_bytes: int, age_seconds: float) -> CacheStore:
    """Raises ConfigurationError for a place that is none, or for a Redis while its library is not installed."""
    if place == "memory":
        return MemoryStore(max_bytes, age_seconds)
    if not place.startswith(_REDIS_SCHEMES):
        raise ConfigurationError("--response-cache takes off, memory, or an address like redis://localhost:6379/0.")
    try:
        from webui.core.redis_store import create_redis_store  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "--response-cache redis://… needs the package redis. Install it (pip install redis), or take memory."
        ) from None
    return create_redis_store(place, max_bytes // _LARGEST_SHARE, age_seconds)
