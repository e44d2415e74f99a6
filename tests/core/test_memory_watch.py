"""Warnings about memory: when they come, what they say, when they go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.core.fake_engine import PLAN
from webui.core.memory_watch import Look, MemoryWarning, MemoryWatch, judge
from webui.core.neighbours import Footprint
from webui.library.pressure import read_stall_percent, read_swapped_in_bytes
from webui.types import Memory

GB = 10**9
PLENTY = Memory(ram_total=16 * GB, ram_free=8 * GB)


def look(free: float, *, promised: float | None = None, stall: float = 0.0, swapped: float = 0.0) -> Look:
    memory = Memory(ram_total=16 * GB, ram_free=int(free * GB))
    left = memory if promised is None else msgspec.structs.replace(memory, ram_free=int(promised * GB))
    return Look(memory, left, stall, swapped)


def level(found: MemoryWarning | None) -> str | None:
    return found.level if found else None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (look(8), None),
        (look(0.9), None),
        (look(0.7), "low"),
        (look(0.7, stall=25), "swapping"),
        (look(0.7, swapped=50e6), "swapping"),
        (look(8, stall=60), None),  # it waits, but not for want of memory
        (look(3, promised=0), "tight"),
        (look(0.7, promised=0), "low"),
    ],
)
def test_the_worst_that_is_true_is_said(found: Look, expected: str | None) -> None:
    assert level(judge(found)) == expected


def test_every_warning_names_the_numbers_and_says_what_to_do() -> None:
    for found in (look(0.7), look(0.7, stall=25), look(3, promised=0)):
        warning = judge(found)
        assert warning is not None
        assert "00 MB" in warning.text or "3.0 GB" in warning.text
        assert "nload a model" in warning.text or "Close other programs" in warning.text


def test_a_warning_stays_until_things_are_clearly_better() -> None:
    first = judge(look(0.7))
    assert level(judge(look(0.9), first)) == "low"
    assert level(judge(look(1.1), first)) is None
    assert level(judge(look(0.9))) is None


def test_a_large_machine_is_not_low_with_a_gigabyte_free() -> None:
    memory = Memory(ram_total=512 * GB, ram_free=2 * GB)
    assert judge(Look(memory, memory)) is None


async def test_those_who_listen_hear_when_the_level_changes() -> None:
    memory = PLENTY
    heard: list[str | None] = []
    watch = MemoryWatch(tuple, memory=lambda: memory, stall_percent=float, swapped_in=int)
    watch.changed.subscribe(lambda warning: heard.append(level(warning)))
    await watch.look()
    memory = Memory(ram_total=16 * GB, ram_free=GB // 2)
    await watch.look()
    await watch.look()
    assert level(watch.warning) == "low"
    memory = PLENTY
    await watch.look()
    assert heard == ["low", None]


async def test_what_loaded_models_were_promised_and_others_took_is_a_warning() -> None:
    footprints = (Footprint(pid=None, plan=PLAN),)
    watch = MemoryWatch(lambda: footprints, memory=lambda: PLENTY, stall_percent=float, swapped_in=int)
    assert await watch.look() is None
    footprints = (Footprint(pid=None, plan=replace(PLAN, ram_needed=9 * GB)),)
    assert level(await watch.look()) == "tight"


async def test_pages_that_come_back_from_swap_count_by_the_second() -> None:
    swapped = iter([0, 100_000_000])
    memory = Memory(ram_total=16 * GB, ram_free=GB)
    watch = MemoryWatch(tuple, memory=lambda: memory, stall_percent=float, swapped_in=lambda: next(swapped))
    assert await watch.look() is None
    assert level(await watch.look()) == "swapping"


async def test_it_looks_by_itself_until_it_is_closed() -> None:
    watch = MemoryWatch(
        tuple, seconds=0.01, memory=lambda: Memory(ram_total=16 * GB, ram_free=1), stall_percent=float, swapped_in=int
    )
    seen = asyncio.Event()
    watch.changed.subscribe(lambda _warning: seen.set())
    watch.open()
    await asyncio.wait_for(seen.wait(), 5)
    await watch.close()


def test_pressure_is_read_where_linux_tells_it(tmp_path: Path) -> None:
    machine, group = tmp_path / "machine", tmp_path / "group"
    machine.write_text("some avg10=3.25 avg60=1.00 avg300=0.10 total=1\nfull avg10=50.00 avg60=0 avg300=0 total=1\n")
    group.write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n")
    assert read_stall_percent((machine, group)) == 12.5
    assert read_stall_percent((machine, tmp_path / "nothing")) == 3.25
    group.write_text("not what it used to be")
    assert read_stall_percent((group,)) == 0.0
    assert read_swapped_in_bytes() >= 0
