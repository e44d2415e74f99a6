"""2,000 tokens are pasted into the page six seconds before Enter: how long from Enter to the first token."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from glasshouse_bench import engine
from glasshouse_bench.client import Client
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import paste


class TypingAhead(Scenario):
    """Only the page knows a draft, so Glasshouse is asked at its engine; the others learn of the text at Enter."""

    bars = (
        Bar("typing-ahead", "2,000 tokens pasted 6 s before Enter: time to first token", "first_token", "s", 0.05,
            at_least=False),
    )  # fmt: skip

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        answer = await client.ask(paste(setup.sizes.paste, seed), 4)
        return {"first_token": answer.first_token_seconds}

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        question = engine.request(paste(setup.sizes.paste, seed), 4, conversation="typed")
        async with engine.open_engine(setup) as running:
            async with aclosing(running.prefill(question)) as reading:
                drafting = asyncio.create_task(_drain(reading))
                await asyncio.sleep(setup.sizes.typing_seconds)
                drafting.cancel()
                await asyncio.wait([drafting])
            answer = await engine.ask(running, question)
        return {
            "first_token": answer.first_token_seconds,
            "computed_again": answer.usage.prompt_tokens - answer.usage.cached_tokens,
        }


async def _drain(events: Any) -> None:
    async for _ in events:
        pass
