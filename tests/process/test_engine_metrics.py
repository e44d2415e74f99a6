"""What an engine counts while it works, as its parent hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from tests.process.fake_engine import FAKE_ENGINE
from webui.core.engine_client import EngineClient
from webui.errors import ContextTooLong
from webui.types import (
    EngineLoad,
    EngineOptions,
    Finished,
    GenerationRequest,
    Message,
    ModelFile,
    SamplingParams,
)

OPTIONS = EngineOptions(context_tokens=2000, kv_tokens=4000, num_slots=2, speculate=False)


class Listener:
    """An engine that is listened to."""

    def __init__(self, client: EngineClient, loads: asyncio.Queue[EngineLoad]) -> None:
        self.client = client
        self._loads = loads

    async def ask(self, text: str, max_tokens: int) -> Finished:
        request = GenerationRequest(
            messages=(Message(role="user", content=text),),
            sampling=SamplingParams(temperature=0, max_tokens=max_tokens),
            conversation="abc",
        )
        async with aclosing(self.client.generate(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
        raise AssertionError("it never finished")

    async def load_after(self, num_ended: int) -> EngineLoad:
        """The first report that knows of so many ends."""
        while True:
            load = await asyncio.wait_for(self._loads.get(), 10)
            if sum(load.metrics.num_finished.values()) >= num_ended:
                return load


@asynccontextmanager
async def listen() -> AsyncIterator[Listener]:
    loads: asyncio.Queue[EngineLoad] = asyncio.Queue()
    client = EngineClient(command=FAKE_ENGINE, on_engine_load=loads.put_nowait)
    await client.start(ModelFile(id="m", name="Tiny", path=Path("good"), size_bytes=1, source="local"), OPTIONS)
    try:
        yield Listener(client, loads)
    finally:
        await client.stop()


async def test_an_engine_counts_what_it_does() -> None:
    async with listen() as engine:
        first = await engine.ask("Tell me something long about lamps.", 5)
        second = await engine.ask("Tell me something long about lamps.", 7)
        metrics = (await engine.load_after(2)).metrics
    assert metrics.num_finished == {"length": 2}
    assert metrics.prompt_tokens == first.usage.prompt_tokens + second.usage.prompt_tokens
    assert metrics.cached_tokens["slot"] == second.usage.cached_tokens == second.usage.prompt_tokens - 1
    assert (metrics.generated_tokens, metrics.num_preemptions, metrics.drafted_tokens) == (12, 0, 0)
    assert metrics.num_steps >= 12
    assert metrics.step_seconds > 0


async def test_what_is_left_in_a_slot_is_told() -> None:
    async with listen() as engine:
        end = await engine.ask("Hello.", 3)
        load = await engine.load_after(1)
    assert (load.num_running, load.slots_used, load.kv_total) == (0, 1, 4000)
    assert load.kv_used == end.usage.total_tokens - 1


async def test_an_idle_engine_still_tells_that_it_refused() -> None:
    async with listen() as engine:
        with pytest.raises(ContextTooLong):
            await engine.ask("x" * 3000, 1)
        load = await engine.load_after(1)
    assert load.metrics.num_finished == {"refused": 1}
