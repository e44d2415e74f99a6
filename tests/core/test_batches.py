"""Batches over a stand-in for the endpoints: what is answered, what is kept through a kill, and what is waited for."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from tests.core.waiting import until, until_async
from webui.core.batch_asking import Answered
from webui.core.batch_output import BatchOutput
from webui.core.batches import REQUESTS_AT_ONCE, Batches, BatchOrder
from webui.core.files import Files
from webui.errors import BatchOver, EngineDied, FileInUse, GlasshouseError, InvalidRequest, UnknownBatch, UnknownFile
from webui.store.batches import Batch, BatchStore
from webui.store.database import Database
from webui.store.files import FileStore, StoredFile
from webui.types import Usage

ENDPOINT = "/v1/echo"
OWNER = "key 1"


class Echo:
    """Answers with what a body says; “fail” is refused, “die” kills the engine. `gate` holds everybody up, and closes
    by itself after so many answers (`closes_after`)."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.num_running = self.most_running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.num_deaths = 0
        self.closes_after = 0

    async def answer(self, endpoint: str, body: bytes, owner: str) -> Answered:
        said = json.loads(body)["say"]
        self.asked.append(said)
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        try:
            await self.gate.wait()
            self.closes_after -= 1
            if self.closes_after == 0:
                self.gate.clear()
            await asyncio.sleep(0)
        finally:
            self.num_running -= 1
        if said == "fail":
            raise InvalidRequest("No.")
        if said == "die" or (said == "die once" and self.asked.count(said) == 1):
            self.num_deaths += 1
            raise EngineDied("killed")
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
        return Answered(200, json.dumps({"echo": said, "usage": usage}).encode())

    def refuse(self, endpoint: str, error: GlasshouseError) -> Answered:
        return Answered(400, json.dumps({"error": {"code": error.code}}).encode())


class House:
    """One server after the other over the same data."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.folder = folder
        self.echo = Echo()
        self.now = 1_000_000.0
        self.pauses: list[float] = []
        self.rest_is_over = asyncio.Event()
        self.rest_is_over.set()
        self.files = Files(FileStore(database), folder, clock=lambda: self.now, free_margin_bytes=0)
        self.batches = self._create()

    def _create(self) -> Batches:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            await self.rest_is_over.wait()

        return Batches(BatchStore(self._database), self.files, clock=lambda: self.now, pause=pause)

    async def open(self) -> None:
        await self.files.open(spare=await self.batches.open())
        self.batches.serve(self.echo)

    async def restart(self, *, while_off: Callable[[], None] = lambda: None) -> None:
        """As after a kill: what was asked for is asked anew."""
        await self.batches.close()
        while_off()
        self.echo, self.batches = Echo(), self._create()
        await self.open()

    async def send(self, content: str, purpose: str = "batch") -> StoredFile:
        async with self.files.receive() as incoming:
            await incoming.write(content.encode())
            return await self.files.keep(incoming, owner=OWNER, name="in.jsonl", purpose=purpose)

    async def begin(self, *said: str, seconds: float = 86400) -> Batch:
        return await self.begin_with("\n".join(line(f"id-{at}", each) for at, each in enumerate(said)), seconds=seconds)

    async def begin_with(self, content: str, seconds: float = 86400) -> Batch:
        file = await self.send(content)
        order = BatchOrder(endpoint=ENDPOINT, input_file_id=file.id, completion_window="24h", seconds=seconds)
        return await self.batches.create(OWNER, order)

    async def get(self, batch: Batch) -> Batch:
        return await self.batches.get(OWNER, batch.id)

    async def wait_for_end(self, batch: Batch) -> Batch:
        async def is_over() -> bool:
            return not (await self.get(batch)).is_open

        await until_async(is_over)
        return await self.get(batch)

    def read(self, file_id: str) -> list[dict[str, Any]]:
        return [json.loads(each) for each in (self.folder / file_id).read_text().splitlines()]


def line(name: str, said: str, **changes: Any) -> str:
    return json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": {"say": said}} | changes)


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    house = House(database, tmp_path / "files")
    await house.open()
    yield house
    await house.batches.close()


async def test_every_line_is_answered_into_a_file_that_its_owner_finds(house: House) -> None:
    batch = await house.begin("one", "fail", "two")
    assert (batch.state, batch.has_output) == ("validating", False)
    batch = await house.wait_for_end(batch)
    assert (batch.state, batch.num_total, batch.num_completed, batch.num_failed) == ("completed", 3, 2, 1)
    assert batch.usage == Usage(prompt_tokens=14, cached_tokens=6, completion_tokens=4)
    output, error = await house.files.get(OWNER, batch.output_id), await house.files.get(OWNER, batch.error_id)
    assert (output.purpose, output.name) == ("batch_output", f"{batch.id}_output.jsonl")
    answers = {each["custom_id"]: each["response"] for each in house.read(output.id)}
    assert answers["id-0"]["status_code"] == 200
    assert {name: each["body"]["echo"] for name, each in answers.items()} == {"id-0": "one", "id-2": "two"}
    (failed,) = house.read(error.id)
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("id-1", 400)


async def test_what_is_wrong_with_a_file_is_told_line_by_line(house: House) -> None:
    lines = [
        line("a", "x"), "{no json", line("a", "x"), line("b", "x", method="GET"), "", line("c", "x", url="/v1/other"),
        line("d", "x", body=[]), '{"custom_id": "e"}',
    ]  # fmt: skip
    batch = await house.wait_for_end(await house.begin_with("\n".join(lines)))
    assert batch.state == "failed"
    assert [(each.line, each.code) for each in batch.mistakes] == [
        (2, "invalid_json_line"), (3, "duplicate_custom_id"), (4, "invalid_method"), (6, "mismatched_endpoint"),
        (7, "invalid_body"), (8, "invalid_request"),
    ]  # fmt: skip
    assert house.echo.asked == []
    empty = await house.wait_for_end(await house.begin_with("\n\n"))
    assert (empty.state, empty.mistakes[0].code) == ("failed", "empty_file")


async def test_a_killed_server_goes_on_where_it_was(house: House) -> None:
    said = [f"word {number}" for number in range(10)]
    house.echo.closes_after = 4
    batch = await house.begin(*said)

    async def are_some_answered() -> bool:
        return (await house.get(batch)).num_completed >= 2

    await until_async(are_some_answered)

    def cut_off_a_line() -> None:
        with (house.folder / batch.output_id).open("ab") as output:
            output.write(b'{"id": "x", "custom_id": "id-9", "respo')

    def written() -> set[str]:
        whole = (house.folder / batch.output_id).read_bytes().splitlines(keepends=True)
        return {json.loads(each)["custom_id"] for each in whole if each.endswith(b"\n")}

    with pytest.raises(UnknownFile):  # nothing half is listed
        await house.files.get(OWNER, batch.output_id)
    await house.restart(while_off=cut_off_a_line)
    before = written()
    batch = await house.wait_for_end(batch)
    assert (batch.state, batch.num_completed) == ("completed", 10)
    answers = house.read(batch.output_id)
    assert sorted(each["response"]["body"]["echo"] for each in answers) == said  # each of them once
    assert not {f"id-{said.index(each)}" for each in house.echo.asked} & before
    assert batch.usage.completion_tokens == 20


async def test_a_few_requests_run_at_once_and_batches_take_turns(house: House) -> None:
    house.echo.gate.clear()
    first, second = await house.begin(*["a"] * 40), await house.begin(*["b"] * 40)
    await until(lambda: house.echo.num_running == REQUESTS_AT_ONCE)
    house.echo.gate.set()
    await house.wait_for_end(first)
    await house.wait_for_end(second)
    assert house.echo.most_running == REQUESTS_AT_ONCE
    asked = "".join(house.echo.asked)
    assert "abab" in asked or "baba" in asked


async def test_a_cancelled_batch_keeps_what_was_answered(house: House) -> None:
    house.echo.closes_after = 4
    batch = await house.begin("one", *["fail"], *["later"] * 20)
    await until(lambda: len(house.echo.asked) >= 2)
    cancelled = await house.batches.cancel(OWNER, batch.id)
    assert cancelled.state == "cancelling"
    batch = await house.wait_for_end(batch)
    assert batch.state == "cancelled"
    assert batch.num_completed + batch.num_failed < 22
    if batch.has_output:
        assert len(house.read(batch.output_id)) == batch.num_completed
    with pytest.raises(BatchOver):
        await house.batches.cancel(OWNER, batch.id)


async def test_what_nobody_got_to_in_time_says_so(house: House) -> None:
    house.echo.gate.clear()
    batch = await house.wait_for_end(await house.begin(*["late"] * 6, seconds=0.05))
    assert (batch.state, batch.num_completed, batch.num_failed) == ("expired", 0, 6)
    assert {each["error"]["code"] for each in house.read(batch.error_id)} == {"batch_expired"}


async def test_an_engine_that_dies_gets_another_chance_but_not_for_ever(house: House) -> None:
    batch = await house.wait_for_end(await house.begin("die once", "die", "fine"))
    assert (batch.state, batch.num_completed, batch.num_failed) == ("completed", 2, 1)
    assert house.echo.num_deaths == 1 + 3
    (failed,) = house.read(batch.error_id)
    assert failed["response"]["body"]["error"]["code"] == "engine_died"


async def test_a_full_disk_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    append = BatchOutput.append
    seen: list[str] = []

    def append_with_luck(output: BatchOutput, custom_id: str, line: bytes, usage: Usage) -> None:
        if len(seen) < 3:
            seen.append(custom_id)
            raise OSError(errno.ENOSPC, "No space left on device")
        append(output, custom_id, line, usage)

    monkeypatch.setattr(BatchOutput, "append", append_with_luck)
    house.rest_is_over.clear()
    batch = await house.begin("one", "two")
    await until(lambda: house.pauses)
    assert [each.code for each in (await house.get(batch)).mistakes] == ["disk_full"]
    house.rest_is_over.set()
    batch = await house.wait_for_end(batch)
    assert (batch.state, batch.num_completed, batch.mistakes) == ("completed", 2, ())
    assert sorted(house.echo.asked) == ["one", "two"]  # answers are not thrown away


async def test_batches_and_their_files_belong_to_who_sent_them(house: House) -> None:
    house.echo.gate.clear()
    batch = await house.begin("one")
    await until(lambda: house.echo.num_running)
    with pytest.raises(FileInUse):
        await house.files.delete(OWNER, batch.input_file_id)
    for asked in (house.batches.get("key 2", batch.id), house.batches.cancel("key 2", batch.id)):
        with pytest.raises(UnknownBatch):
            await asked
    order = BatchOrder(endpoint=ENDPOINT, input_file_id=batch.input_file_id, completion_window="24h", seconds=60)
    with pytest.raises(UnknownFile):
        await house.batches.create("key 2", order)
    assert await house.batches.page("key 2", limit=10) == []
    house.echo.gate.set()
    await house.wait_for_end(batch)
    await house.files.delete(OWNER, batch.input_file_id)
    other = await house.send("{}", purpose="user_data")
    with pytest.raises(InvalidRequest):
        await house.batches.create(
            OWNER, BatchOrder(endpoint=ENDPOINT, input_file_id=other.id, completion_window="24h", seconds=60)
        )


async def test_a_batch_belongs_to_no_request(house: House) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    request.set("the one that made the batch")
    seen: list[str] = []
    answer = house.echo.answer

    async def answer_and_look(endpoint: str, body: bytes, owner: str) -> Answered:
        seen.append(request.get())
        return await answer(endpoint, body, owner)

    house.echo.answer = answer_and_look  # type: ignore[method-assign]
    await house.wait_for_end(await house.begin("one"))
    assert seen == ["none"]


async def test_who_may_not_ask_any_more_has_no_batches_running(house: House) -> None:
    house.echo.gate.clear()
    batch = await house.begin("one")
    await until(lambda: house.echo.num_running)
    await house.batches.cancel_all("key 2")
    assert (await house.get(batch)).state == "in_progress"
    await house.batches.cancel_all(OWNER)
    assert (await house.wait_for_end(batch)).state == "cancelled"


async def test_an_input_that_expires_stays_until_the_batch_is_over(house: House) -> None:
    async with house.files.receive() as incoming:
        await incoming.write(line("a", "x").encode())
        file = await house.files.keep(incoming, owner=OWNER, name="in.jsonl", purpose="batch", keep_seconds=3600)
    house.echo.gate.clear()
    order = BatchOrder(endpoint=ENDPOINT, input_file_id=file.id, completion_window="24h", seconds=86400)
    batch = await house.batches.create(OWNER, order)
    await until(lambda: house.echo.num_running)
    house.now += 7200
    await house.send("another")  # what has expired goes with the next file that comes
    await house.restart()
    assert house.files.path_of(file.id).exists()
    assert (await house.wait_for_end(batch)).state == "completed"
    await house.send("another")
    assert not house.files.path_of(file.id).exists()


async def test_a_batch_whose_input_was_deleted_behind_its_back_fails_in_words(house: House) -> None:
    file = await house.send(line("a", "x"))
    house.files.path_of(file.id).unlink()
    order = BatchOrder(endpoint=ENDPOINT, input_file_id=file.id, completion_window="24h", seconds=60)
    batch = await house.wait_for_end(await house.batches.create(OWNER, order))
    assert (batch.state, batch.mistakes[0].code) == ("failed", "unknown_file")
