"""Counts the cells of the KV memory: who uses how many, and how many are free.

A cell that several slots share (a prefix copied by reference) counts once and is free again when the last of them lets
go, as in llama.cpp's unified cache. A slot's cells are a list of runs; a run knows how many slots use it. It does not
know tokens, and it does not touch the memory itself: it is the scheduler's own account of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Run:
    """Neighbouring cells with the same users."""

    length: int
    num_users: int = 1


class KvCells:
    """The account of `num_cells` cells among slots 0..num_slots-1."""

    def __init__(self, num_cells: int, num_slots: int) -> None:
        self.num_cells = num_cells
        self.num_used = 0
        self._runs: list[list[_Run]] = [[] for _ in range(num_slots)]

    @property
    def num_free(self) -> int:
        return self.num_cells - self.num_used

    def length(self, slot: int) -> int:
        """Tokens that `slot` holds, shared or not."""
        return sum(run.length for run in self._runs[slot])

    def count(self, slots: Iterable[int]) -> int:
        """Distinct cells that these slots hold together."""
        return sum({id(run): run.length for slot in slots for run in self._runs[slot]}.values())

    def extend(self, slot: int, count: int) -> None:
        """`slot` takes `count` fresh cells."""
        runs = self._runs[slot]
        if runs and runs[-1].num_users == 1:
            runs[-1].length += count
        elif count:
            runs.append(_Run(count))
        self.num_used += count

    def trim(self, slot: int, length: int) -> None:
        """`slot` keeps its first `length` cells and lets go of the rest."""
        self.discard(slot, length, self.length(slot) - length)

    def share(self, source: int, target: int, length: int) -> None:
        """`target`, which must be empty, comes to share the first `length` cells of `source`."""
        self._split(source, length)
        start = 0
        for run in self._runs[source]:
            if start >= length:
                break
            run.num_users += 1
            self._runs[target].append(run)
            start += run.length

    def discard(self, slot: int, start: int, count: int) -> None:
        """`slot` lets go of `count` cells from `start`; those behind them move up."""
        self._split(slot, start)
        self._split(slot, start + count)
        kept: list[_Run] = []
        position = 0
        for run in self._runs[slot]:
            if start <= position < start + count:
                run.num_users -= 1
                if run.num_users == 0:
                    self.num_used -= run.length
            else:
                kept.append(run)
            position += run.length
        self._runs[slot] = kept

    def _split(self, slot: int, length: int) -> None:
        """Make a boundary between runs at `length`, for every slot that shares the run across it."""
        start = 0
        for run in self._runs[slot]:
            if start < length < start + run.length:
                self._split_run(run, length - start)
                return
            start += run.length

    def _split_run(self, run: _Run, length: int) -> None:
        tail = _Run(run.length - length, run.num_users)
        run.length = length
        for runs in self._runs:
            for index, other in enumerate(runs):
                if other is run:
                    runs.insert(index + 1, tail)
                    break
