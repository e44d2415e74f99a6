"""Responses in the background: who may read and end them, and what becomes of their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from webui.core.frame_log import FrameLog
from webui.core.responses import MAX_RUNNING_OF_OWNER, NUM_LOGS, Responses, RunningResponse
from webui.errors import EngineBusy
from webui.store.database import Database
from webui.store.responses import ResponseStore, StoredResponse


@pytest.fixture
async def responses(database: Database) -> AsyncIterator[Responses]:
    responses = Responses(ResponseStore(database))
    await responses.open()
    yield responses
    await responses.close()


async def write_for_ever(running: RunningResponse) -> None:
    running.log.append(b"first")
    await asyncio.Event().wait()


async def write_two(running: RunningResponse) -> None:
    running.log.append(b"first")
    running.log.append(b"second")


async def test_a_log_is_read_from_anywhere_while_it_grows() -> None:
    log = FrameLog()
    log.append(b"0")
    late = asyncio.create_task(_read(log, 1))
    early = asyncio.create_task(_read(log, 0))
    await asyncio.sleep(0)
    log.append(b"1")
    log.append(b"2")
    log.close()
    assert (await early, await late) == ([b"0", b"1", b"2"], [b"1", b"2"])
    assert await _read(log, 7) == []


async def _read(log: FrameLog, start: int) -> list[bytes]:
    return [frame async for frame in log.read(start)]


async def test_only_its_owner_ends_one(responses: Responses) -> None:
    await responses.store.add(StoredResponse(id="slow", owner="ada", status="in_progress", body={}), [])
    running = responses.start("slow", "ada", write_for_ever, dict)
    assert responses.find("slow", "eve") is None
    assert responses.find_log("slow", "eve") is None
    assert responses.find("slow", "ada") is running
    await responses.delete("slow", "ada")
    assert running.is_cancelled
    assert responses.find("slow", "ada") is None
    assert responses.find_log("slow", "ada") is None, "what was deleted is gone"


async def test_the_events_of_the_last_ones_are_kept(responses: Responses) -> None:
    for number in range(NUM_LOGS + 1):
        running = responses.start(f"resp_{number}", "ada", write_two, dict)
        assert running.task is not None
        await running.task
    assert responses.find_log("resp_0", "ada") is None
    log = responses.find_log("resp_1", "ada")
    assert log is not None
    assert await _read(log, 1) == [b"second"]


async def test_nobody_takes_all_the_room(responses: Responses) -> None:
    for number in range(MAX_RUNNING_OF_OWNER):
        responses.check_room("ada")
        responses.start(f"resp_{number}", "ada", write_for_ever, dict)
    with pytest.raises(EngineBusy):
        responses.check_room("ada")
    responses.check_room("eve")
