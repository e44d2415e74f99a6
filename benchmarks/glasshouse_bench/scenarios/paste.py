"""Somebody pastes 2,000 tokens while another reads a running stream: the stream's longest gap, and the paste's wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from glasshouse_bench.client import Answer, AskFailed, Client, longest_gap
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import paste, story

_TOKENS_BEFORE = 16


class Paste(Scenario):
    bars = (
        Bar("longest-gap", "Longest gap in a running stream while somebody pastes 2,000 tokens", "gap", "s", 0.10,
            at_least=False),
        Bar("paste-first-token", "That paste's own time to first token", "first_token", "s", 1.15, at_least=False),
    )  # fmt: skip

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        is_running = asyncio.Event()
        stream: Answer | None = None

        def listen(answer: Answer) -> None:
            nonlocal stream
            stream = answer
            if len(answer.moments) == _TOKENS_BEFORE:
                is_running.set()

        reading = asyncio.create_task(client.ask(story(seed), setup.context - 200, on_text=listen))
        try:
            await asyncio.wait([reading, asyncio.create_task(is_running.wait())], return_when="FIRST_COMPLETED")
            pasted = await client.ask(paste(setup.sizes.paste, seed), 4)
            if reading.done() or stream is None:
                raise AskFailed("the running stream ended before the paste was answered")
        finally:
            reading.cancel()  # hangs up
            with suppress(asyncio.CancelledError):
                await reading
        gap = longest_gap(stream, pasted.asked_at, pasted.moments[0])
        return {"gap": gap, "first_token": pasted.first_token_seconds}
