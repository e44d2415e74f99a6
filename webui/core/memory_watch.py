"""Warns before the machine starts to swap, and while its memory runs low.

A look every few seconds: what is free, what the loaded models were promised and have not taken yet, and whether the
machine already waits for memory. It warns and does nothing: what to unload is a person's choice, or the model pool's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from webui.core.neighbours import Footprint, Neighbours, memory_beside
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import format_bytes
from webui.library.hardware import read_memory
from webui.library.pressure import read_stall_percent, read_swapped_in_bytes
from webui.types import Memory, Value

_log = logging.getLogger(__name__)

SECONDS = 5.0  #: between two looks
_LOW_SHARE = 20  # memory is low when less than this part of it is free,
_MOST_LOW_BYTES = 1 << 30  # or less than this, on a large machine
_RELIEF = 1.25  # a warning stays until so much more than that is free: it should not flicker
_STALL_PERCENT = 10.0  # of the time: people feel that
_SWAP_BYTES_PER_SECOND = 1 << 20


class MemoryWarning(Value, frozen=True):
    """`text` is a sentence for people that says what to do. tight: little would be left if every chat were as long as
    it can get; low: little is left now; swapping: the machine already waits for its memory."""

    level: Literal["tight", "low", "swapping"]
    text: str
    ram_free: int  #: bytes
    ram_total: int


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `promised` is the memory once the loaded models have taken all that is theirs."""

    memory: Memory
    promised: Memory
    stall_percent: float = 0.0
    swapped_in_per_second: float = 0.0


def judge(look: Look, before: MemoryWarning | None = None) -> MemoryWarning | None:
    """The worst that is true; `before` is the last judgement, which ends only when things are clearly better."""
    free, total = look.memory.ram_free, look.memory.ram_total
    low = min(_MOST_LOW_BYTES, total // _LOW_SHARE) * (_RELIEF if before else 1)
    is_waiting = look.stall_percent >= _STALL_PERCENT or look.swapped_in_per_second >= _SWAP_BYTES_PER_SECOND
    if is_waiting and free < 2 * low:
        level: Literal["tight", "low", "swapping"] = "swapping"
        text = (
            f"The machine waits for memory ({format_bytes(free)} of {format_bytes(total)} are free), so everything is "
            "slow. Unload a model, or load it again with a shorter context."
        )
    elif free < low:
        level = "low"
        text = (
            f"Memory runs low: {format_bytes(free)} of {format_bytes(total)} are free. Unload a model or close other "
            "programs before the machine starts to swap."
        )
    elif look.promised.ram_free <= 0:
        level = "tight"
        text = (
            f"Other programs took memory that the loaded models count on: {format_bytes(free)} are free, and long "
            "chats will need more. Close other programs, or load again with a shorter context."
        )
    else:
        return None
    return MemoryWarning(level=level, text=text, ram_free=free, ram_total=total)


class MemoryWatch:
    """`warning` is what is true now, `changed` says when its level becomes another one. `footprints` are the engines
    that are alive."""

    def __init__(
        self,
        footprints: Callable[[], tuple[Footprint, ...]],
        *,
        seconds: float = SECONDS,
        memory: Callable[[], Memory] = read_memory,
        stall_percent: Callable[[], float] = read_stall_percent,
        swapped_in: Callable[[], int] = read_swapped_in_bytes,
    ) -> None:
        self.changed: Signal[MemoryWarning | None] = Signal()
        self.warning: MemoryWarning | None = None
        self._footprints = footprints
        self._seconds = seconds
        self._memory = memory
        self._stall_percent = stall_percent
        self._swapped_in = swapped_in
        self._last_swapped_in: int | None = None
        self._tasks = OwnedTasks()

    def open(self) -> None:
        """Begin to look, until `close`."""
        self._tasks.start(self._run())

    async def close(self) -> None:
        await self._tasks.close()

    async def look(self) -> MemoryWarning | None:
        """Look now."""
        found = await asyncio.to_thread(self._look, self._footprints())
        before, self.warning = self.warning, judge(found, self.warning)
        if (before and before.level) != (self.warning and self.warning.level):
            if self.warning is not None:
                _log.warning("%s", self.warning.text)
            self.changed.emit(self.warning)
        return self.warning

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except OSError:
                _log.exception("The memory could not be looked at")
            await asyncio.sleep(self._seconds)

    def _look(self, footprints: tuple[Footprint, ...]) -> Look:
        memory = self._memory()
        swapped_in = self._swapped_in()
        last, self._last_swapped_in = self._last_swapped_in, swapped_in
        return Look(
            memory,
            memory_beside(memory, Neighbours(staying=footprints)),
            self._stall_percent(),
            max(0, swapped_in - last) / self._seconds if last is not None else 0.0,
        )
