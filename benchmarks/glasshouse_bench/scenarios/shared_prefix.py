"""Eight people arrive behind one shared prefix of about 1,000 tokens that nobody has read yet."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from glasshouse_bench.client import Client
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import story, system, words


class SharedPrefix(Scenario):
    bars = (
        Bar("shared-prefix", "8 people behind one shared prefix of 1,000 tokens, cold: median time to first token",
            "first_token", "s", 0.25, at_least=False),
    )  # fmt: skip

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        prefix = system(words(setup.sizes.prefix, seed))
        questions = [[prefix, *story(f"{seed}/{person}")] for person in range(8)]
        answers = await asyncio.gather(*(client.ask(question, 8) for question in questions))
        return {"first_token": statistics.median(answer.first_token_seconds for answer in answers)}
