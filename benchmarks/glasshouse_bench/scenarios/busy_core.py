"""Another program keeps one core busy while one person reads an answer."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from glasshouse_bench.client import Client
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import story

_BUSY = "import os\nos.sched_setaffinity(0, {%d})\nwhile True: pass"


class BusyCore(Scenario):
    bars = (
        Bar("busy-core", "Another program busy on one core: one person, decoding", "speed", "tokens/s", 2.0,
            at_least=True),
    )  # fmt: skip
    asks_everybody = True

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        async with _busy_program():
            await client.ask(story(f"{seed}/before"), 32)  # who adapts to it may do so
            answer = await client.ask(story(seed), setup.sizes.answer // 4)  # some take seconds for a token
        return {"speed": answer.tokens_per_second}


@asynccontextmanager
async def _busy_program() -> AsyncIterator[None]:
    """A loop that does nothing, pinned to the last core."""
    core = max(os.sched_getaffinity(0))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _BUSY % core)
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        process.kill()
        await process.wait()
