"""How the models that are in memory share it with one that wants to be: what a planner may count as free.

What leaves gives back what its process holds. What stays was promised all that its plan says, also what it has not
taken yet: a KV memory of which nobody uses much looks free to the system, and so do weights that are mapped from a
file. It knows footprints; which model leaves is for the pool of engines to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import psutil

from webui.library.memory_fit import FitPlan
from webui.types import Memory


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an engine holds: its process (None: not begun yet) and the plan that it was started with."""

    pid: int | None
    plan: FitPlan
    is_loaded: bool = True  #: False while it loads: its graphics memory is not taken yet


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The engines that are alive while another one is planned: those that make room for it, and the others."""

    leaving: tuple[Footprint, ...] = ()
    staying: tuple[Footprint, ...] = ()

    @property
    def all(self) -> tuple[Footprint, ...]:
        return self.leaving + self.staying


def memory_beside(memory: Memory, neighbours: Neighbours) -> Memory:
    """The memory as it will be for a newcomer, once those who leave are gone and those who stay have what is theirs.

    Graphics memory is each GPU's own, as the plan took it. Processes are asked, so it takes a moment.
    """
    for leaving in neighbours.leaving:
        memory = memory_without(memory, leaving)
    for staying in neighbours.staying:
        memory = _memory_with(memory, staying)
    return memory


def memory_without(memory: Memory, running: Footprint) -> Memory:
    """The memory as it will be once this engine is gone.

    Of RAM only what the process holds alone counts: the weights that it maps from the file are page cache, which the
    system counts as available already.
    """
    vram = _vram(memory, running.plan) if running.is_loaded else [0] * len(memory.gpus)
    return _change(memory, private_bytes(running.pid), vram)


def _memory_with(memory: Memory, running: Footprint) -> Memory:
    """The memory once this engine has taken all that it was promised; states of idle chats in RAM are a promise too."""
    plan = running.plan
    missing = max(0, plan.ram_needed + plan.options.parked_bytes - private_bytes(running.pid))
    vram = [0 if running.is_loaded else -taken for taken in _vram(memory, plan)]
    return _change(memory, -missing, vram)


def _vram(memory: Memory, plan: FitPlan) -> list[int]:
    """What the plan takes of each GPU; shared out evenly where it was made for other ones."""
    gpus = plan.devices[1:]
    if len(gpus) == len(memory.gpus):
        return [gpu.needed_bytes for gpu in gpus]
    return [plan.vram_needed // len(memory.gpus)] * len(memory.gpus) if memory.gpus else []


def _change(memory: Memory, ram: int, vram: list[int]) -> Memory:
    """So many bytes more (or less) free, never more than there is nor less than nothing."""
    ram_free = min(memory.ram_total, max(0, memory.ram_free + ram))
    gpus = tuple(
        msgspec.structs.replace(gpu, free_bytes=min(gpu.total_bytes, max(0, gpu.free_bytes + change)))
        for gpu, change in zip(memory.gpus, vram, strict=True)
    )
    return msgspec.structs.replace(memory, ram_free=ram_free, gpus=gpus)


def private_bytes(pid: int | None) -> int:
    """RAM that a process holds alone; 0 for one that is gone."""
    if pid is None:
        return 0
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return max(0, info.rss - getattr(info, "shared", 0))  # not every system tells what is shared
