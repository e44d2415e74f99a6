"""Stored responses: chained, read by their owner alone, and kept up to a limit."""

from __future__ import annotations

import pytest

from webui.errors import ResponseUnfinished, UnknownPrevious, UnknownResponse
from webui.store.database import Database
from webui.store.responses import Item, Limits, ResponseStore, StoredResponse


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def item(name: str) -> Item:
    return {"id": f"msg_{name}", "type": "message", "role": "user", "content": [{"type": "input_text", "text": name}]}


def response(
    name: str, *, previous: str | None = None, owner: str = "ada", status: str = "completed"
) -> StoredResponse:
    return StoredResponse(
        id=name, owner=owner, status=status, body={"id": name}, output=(item(f"{name} out"),), previous_id=previous
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> ResponseStore:
    return ResponseStore(database, Limits(seconds=100.0, number=3, size_bytes=100_000), clock)


async def say(store: ResponseStore, name: str, *, previous: str | None = None, owner: str = "ada") -> None:
    await store.add(response(name, previous=previous, owner=owner), [item(f"{name} in")])


async def test_a_chain_is_read_in_the_order_in_which_it_was_said(store: ResponseStore) -> None:
    await say(store, "first")
    await say(store, "second", previous="first")
    ids = [each["id"] for each in await store.history("second", "ada")]
    assert ids == ["msg_first in", "msg_first out", "msg_second in", "msg_second out"]
    assert [each["id"] for each in await store.input_items("second", "ada")] == ["msg_second in"]
    found = await store.get("second", "ada")
    assert (found.body, found.output, found.previous_id) == ({"id": "second"}, (item("second out"),), "first")
    assert set(await store.find_items(["msg_first out", "msg_nothing"], "ada")) == {"msg_first out"}


async def test_nobody_else_sees_it(store: ResponseStore) -> None:
    await say(store, "mine")
    for question in (store.get, store.input_items, store.delete):
        with pytest.raises(UnknownResponse):
            await question("mine", "eve")
    with pytest.raises(UnknownPrevious):
        await store.history("mine", "eve")
    assert await store.find_items(["msg_mine in"], "eve") == {}
    await say(store, "stolen", previous="mine", owner="eve")  # as if an id had been guessed
    with pytest.raises(UnknownPrevious, match="mine"):
        await store.history("stolen", "eve")


async def test_what_is_deleted_is_gone_and_so_is_what_went_on_from_it(store: ResponseStore) -> None:
    await say(store, "first")
    await say(store, "second", previous="first")
    await store.delete("first", "ada")
    with pytest.raises(UnknownResponse):
        await store.get("first", "ada")
    assert await store.find_items(["msg_first in"], "ada") == {}
    with pytest.raises(UnknownPrevious, match="first"):
        await store.history("second", "ada")


async def test_what_was_not_used_for_longest_goes_first(store: ResponseStore, clock: Clock) -> None:
    await say(store, "root")
    clock.now += 10
    await say(store, "other")
    clock.now += 10
    await store.history("root", "ada")  # somebody goes on from it
    await say(store, "leaf", previous="root")
    clock.now += 10
    await say(store, "newest")
    with pytest.raises(UnknownResponse):
        await store.get("other", "ada")
    assert len(await store.history("leaf", "ada")) == 4

    clock.now += 90
    await store.history("newest", "ada")
    clock.now += 20
    await store.prune()
    assert (await store.get("newest", "ada")).id == "newest"
    with pytest.raises(UnknownPrevious):
        await store.history("leaf", "ada")


async def test_large_ones_push_out_others(store: ResponseStore, clock: Clock) -> None:
    for name in ("one", "two"):
        clock.now += 1
        await store.add(response(name), [item("x" * 30_000)])
    with pytest.raises(UnknownResponse):
        await store.get("one", "ada")
    assert (await store.get("two", "ada")).id == "two"


async def test_one_that_is_being_written_ends_once(store: ResponseStore) -> None:
    begun = response("slow", status="in_progress")
    await store.add(StoredResponse(id="slow", owner="ada", status="in_progress", body={}), [item("question")])
    with pytest.raises(ResponseUnfinished):
        await store.history("slow", "ada")
    assert await store.finish(response("slow"))
    assert [each["id"] for each in await store.history("slow", "ada")] == ["msg_question", "msg_slow out"]
    await store.delete("slow", "ada")
    assert not await store.finish(begun), "a deleted one does not come back"


async def test_one_that_was_cut_off_by_a_kill_has_failed(store: ResponseStore) -> None:
    await store.add(StoredResponse(id="cut", owner="ada", status="in_progress", body={}), [])
    assert await store.close_interrupted() == 1
    assert (await store.get("cut", "ada")).status == "failed"
    assert await store.close_interrupted() == 0
