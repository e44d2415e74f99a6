"""The response cache alone: which requests have one answer, what their key is, what is kept, and a Redis that goes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import pytest
import pytest_asyncio
from pydantic import ValidationError

from webui.config import Settings
from webui.core.cache_stores import MemoryStore, create_store
from webui.core.redis_store import PREFIX, RedisStore, create_redis_store
from webui.core.response_cache import ResponseCache, create_response_cache
from webui.errors import ConfigurationError
from webui.types import (
    AlternativeToken,
    ContextTrimmed,
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    LoraAdapter,
    Message,
    Priority,
    PromptProgress,
    SamplingParams,
    TextDelta,
    Timings,
    TokenLogprobs,
    Tool,
    ToolCallDelta,
    Usage,
)

OPTIONS = EngineOptions(context_tokens=2048, kv_tokens=2048, num_slots=1)
TIMINGS = Timings(queued_seconds=1.0, first_token_seconds=2.0, total_seconds=3.0, tokens_per_second=9.0)
GREEDY = GenerationRequest(
    messages=(Message(role="user", content="Name three birds."),),
    sampling=SamplingParams(temperature=0),
    priority=Priority.API,
)
END = Finished(
    reason="stop", usage=Usage(prompt_tokens=7, cached_tokens=2, completion_tokens=2), timings=TIMINGS, stop_text="!"
)
SAID: tuple[GenerationEvent, ...] = (
    PromptProgress(done=7, total=7),
    TextDelta(text="A "),
    TokenLogprobs(chosen=AlternativeToken(token=b"A", logprob=-0.1), top=()),
    ToolCallDelta(index=0, id="call_1", name="weather", arguments="{}"),
    END,
)


class Model:
    """Says the same every time, and counts how often it was asked."""

    def __init__(self, *said: GenerationEvent) -> None:
        self.said = said or SAID
        self.num_asked = 0

    async def generate(self) -> AsyncGenerator[GenerationEvent, None]:
        self.num_asked += 1
        for event in self.said:
            yield event


class Asker:
    """Asks through a cache; `outcomes` is what the cache said of each question."""

    def __init__(self, cache: ResponseCache, path: Path, model: Model | None = None) -> None:
        self.cache = cache
        self.path = path
        self.model = model or Model()
        self.outcomes: list[str | None] = []

    async def ask(self, request: GenerationRequest = GREEDY, **options: Any) -> list[GenerationEvent]:
        self.outcomes.append(None)

        def note(outcome: str) -> None:
            self.outcomes[-1] = outcome

        loaded = msgspec.structs.replace(OPTIONS, **options)
        events = self.cache.answer(request, self.path, loaded, self.model.generate, note)
        async with aclosing(events):
            return [event async for event in events]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF one")
    return file


@pytest.fixture
def asker(path: Path) -> Asker:
    return Asker(ResponseCache(MemoryStore(1_000_000, 3600)), path)


def like(**changes: Any) -> GenerationRequest:
    return msgspec.structs.replace(GREEDY, **changes)


def sampled(**changes: Any) -> GenerationRequest:
    return like(sampling=msgspec.structs.replace(GREEDY.sampling, **changes))


async def test_a_hit_says_what_was_said_with_the_times_of_now(asker: Asker) -> None:
    first, second = await asker.ask(), await asker.ask()
    assert (asker.outcomes, asker.model.num_asked) == (["miss", "hit"], 1)
    assert first == list(SAID)
    assert second[:-1] == list(SAID[1:-1]), "progress of reading is of then"
    end = second[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.stop_text, end.usage) == (
        "stop", "!", Usage(prompt_tokens=7, cached_tokens=7, completion_tokens=2),
    )  # fmt: skip
    assert end.timings.queued_seconds == 0
    assert 0 < end.timings.first_token_seconds <= end.timings.total_seconds < 1


@pytest.mark.parametrize(
    "other",
    [
        like(owner="key 1"),
        like(priority=Priority.IDLE, is_side_job=True),  # of a batch
        like(conversation="resp_1"),
        sampled(seed=5),  # nothing is drawn at temperature 0
    ],
)
async def test_who_asks_makes_no_difference(asker: Asker, other: GenerationRequest) -> None:
    await asker.ask()
    await asker.ask(other)
    assert asker.outcomes == ["miss", "hit"]


@pytest.mark.parametrize(
    "other",
    [
        like(messages=(Message(role="user", content="Name three birds"),)),
        like(messages=(Message(role="system", content="Name three birds."),)),
        like(prompt="Name three birds."),
        like(continuation="A"),
        like(overflow="drop_oldest"),
        like(tools=(Tool(name="weather"),)),
        like(adapters=(LoraAdapter(path="/pirate.gguf", version="1"),)),
        sampled(max_tokens=3),
        sampled(stop=("x",)),
        sampled(logprobs=2),
        sampled(logit_bias=((5, 1.0),)),
        sampled(temperature=0.5, seed=1),
    ],
)
async def test_whatever_reaches_the_model_makes_another_answer(asker: Asker, other: GenerationRequest) -> None:
    await asker.ask()
    await asker.ask(other)
    await asker.ask(other)
    assert asker.outcomes == ["miss", "miss", "hit"]


async def test_how_a_model_is_loaded_makes_another_answer(asker: Asker) -> None:
    await asker.ask()
    await asker.ask(kv_type="q8_0")
    await asker.ask(chat_template="{{ messages }}")
    await asker.ask(threads=7)
    assert asker.outcomes == ["miss", "miss", "miss", "hit"]


async def test_another_file_under_the_same_name_is_another_model(asker: Asker) -> None:
    await asker.ask()
    asker.path.write_bytes(b"GGUF two")
    os.utime(asker.path, ns=(1, 1))
    await asker.ask()
    asker.path.rename(asker.path.with_name("moved.gguf"))
    asker.path = asker.path.with_name("moved.gguf")
    await asker.ask()
    assert asker.outcomes == ["miss", "miss", "hit"], "a file is known by what is in it"


async def test_a_file_that_is_gone_is_no_reason_to_fail(asker: Asker) -> None:
    asker.path.unlink()
    assert await asker.ask() == list(SAID)
    assert asker.outcomes == [None]


@pytest.mark.parametrize(
    "request_",
    [
        sampled(temperature=0.7),  # drawn, and nobody can draw it again
        sampled(dynatemp_range=0.5),  # moves the temperature away from 0
        like(priority=Priority.INTERACTIVE),
    ],
)
async def test_what_is_not_certain_is_not_looked_up(asker: Asker, request_: GenerationRequest) -> None:
    await asker.ask(request_)
    await asker.ask(request_)
    assert (asker.outcomes, asker.model.num_asked) == ([None, None], 2)


@pytest.mark.parametrize(
    "said",
    [
        (TextDelta(text="A"), msgspec.structs.replace(END, reason="cancelled")),
        (ContextTrimmed(num_messages=2), TextDelta(text="A"), END),  # an engine with more context would not
        (TextDelta(text="A"), msgspec.structs.replace(END, reason="length")),  # at the end of the context
        (TextDelta(text="A"),),  # it broke off
    ],
)
async def test_an_answer_that_might_be_another_one_is_not_kept(path: Path, said: tuple[GenerationEvent, ...]) -> None:
    asker = Asker(ResponseCache(MemoryStore(1_000_000, 3600)), path, Model(*said))
    await asker.ask()
    await asker.ask()
    assert asker.outcomes == ["miss", "miss"]


async def test_an_answer_that_was_cut_where_the_request_said_so_is_kept(path: Path) -> None:
    cut = msgspec.structs.replace(END, reason="length")
    asker = Asker(ResponseCache(MemoryStore(1_000_000, 3600)), path, Model(TextDelta(text="A"), cut))
    await asker.ask(sampled(max_tokens=2))
    await asker.ask(sampled(max_tokens=2))
    assert asker.outcomes == ["miss", "hit"]


async def test_who_stops_reading_leaves_nothing_behind(asker: Asker) -> None:
    events = asker.cache.answer(GREEDY, asker.path, OPTIONS, asker.model.generate, lambda _: None)
    async with aclosing(events):
        await anext(events)
    await asker.ask()
    assert asker.outcomes == ["miss"]


# --- where answers are kept ------------------------------------------------------------------------------------------


async def test_memory_forgets_the_least_recently_used_and_what_is_too_large() -> None:
    store = MemoryStore(10_000, -1)
    for name in "abcdefgh":
        await store.put(name, bytes(900))
    assert await store.get("a")  # used just now
    await store.put("i", bytes(900))
    assert (await store.get("b"), await store.get("a"), await store.get("i")) == (None, bytes(900), bytes(900))
    await store.put("large", bytes(5_000))
    assert await store.get("large") is None, "one answer must not push all others out"
    assert store.size.num_bytes <= 10_000
    await store.put("i", b"other")
    assert await store.get("i") == b"other"


async def test_memory_forgets_what_is_old() -> None:
    now = 0.0
    store = MemoryStore(10_000, 60, clock=lambda: now)
    await store.put("a", b"1")
    now = 60.0
    assert await store.get("a") == b"1"
    now = 60.1
    assert await store.get("a") is None
    assert (store.size.num_entries, store.size.num_bytes) == (0, 0)


@pytest_asyncio.fixture
async def redis_server() -> AsyncIterator[fakeredis.FakeServer]:
    yield fakeredis.FakeServer()


async def test_servers_share_a_redis(redis_server: fakeredis.FakeServer, path: Path) -> None:
    async with fakeredis.FakeAsyncRedis(server=redis_server) as client:
        one, other = (Asker(ResponseCache(RedisStore(client, 100_000, 90)), path) for _ in range(2))
        assert await one.ask() == list(SAID)
        assert (await other.ask())[:-1] == list(SAID[1:-1])
        assert (other.outcomes, other.model.num_asked) == (["hit"], 0)
        [key] = await client.keys("*")
        assert PREFIX in str(key)
        assert 0 < await client.ttl(key) <= 90


async def test_a_redis_that_is_gone_is_a_miss_with_one_warning(
    redis_server: fakeredis.FakeServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "webui.core.redis_store")
    now = 0.0
    async with fakeredis.FakeAsyncRedis(server=redis_server) as client:
        asker = Asker(ResponseCache(RedisStore(client, 100_000, 90, clock=lambda: now)), path)
        await asker.ask()
        redis_server.connected = False
        for moment in (0.0, 5.0, 30.0):
            now = moment
            assert await asker.ask() == list(SAID)
        redis_server.connected = True
        now = 60.0
        await asker.ask()
    assert asker.outcomes == ["miss", "miss", "miss", "miss", "hit"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_what_others_write_into_the_redis_is_a_miss(redis_server: fakeredis.FakeServer, path: Path) -> None:
    async with fakeredis.FakeAsyncRedis(server=redis_server) as client:
        asker = Asker(ResponseCache(RedisStore(client, 100_000, -1)), path)
        await asker.ask()
        [key] = await client.keys("*")
        assert await client.ttl(key) == -1, "never too old"
        for rubbish in (b"", b"\xc1", b"\x90", msgspec.msgpack.encode([{"type": "Nonsense"}])):
            await client.set(key, rubbish)
            assert await asker.ask() == list(SAID)
        await client.delete(key)
        await client.lpush(key, "a list")  # WRONGTYPE
        assert await asker.ask() == list(SAID)


async def test_nobody_at_the_redis_address(path: Path) -> None:
    asker = Asker(ResponseCache(create_redis_store("redis://127.0.0.1:1/0", 1000, 60)), path)
    assert await asker.ask() == list(SAID)
    await asker.cache.close()


def test_without_its_library_a_redis_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webui.core.redis_store", None)
    with pytest.raises(ConfigurationError, match="pip install redis"):
        create_store("redis://localhost:6379/0", 1000, 60)


def test_a_place_is_off_memory_or_a_redis(tmp_path: Path) -> None:
    for fine in ("off", "memory", "redis://:secret@cache.lan:6379/0", "unix:///run/redis.sock"):
        assert Settings(data_dir=tmp_path, response_cache=fine).response_cache == fine
    with pytest.raises(ValidationError, match="write off, memory"):
        Settings(data_dir=tmp_path, response_cache="disk")
    assert create_response_cache(None, 1, 1) is create_response_cache("off", 1, 1) is None
    for place in ("disk", "http://localhost", "redis://localhost:nonsense"):
        with pytest.raises(ConfigurationError, match="--response-cache"):
            create_store(place, 1000, 60)
