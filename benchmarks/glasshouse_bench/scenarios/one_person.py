"""One person, decode tokens/s."""

from __future__ import annotations

from typing import Any

from glasshouse_bench.client import Client
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import story


class OnePerson(Scenario):
    bars = (Bar("one-person", "One person, decoding", "speed", "tokens/s", 1.00, at_least=True),)
    asks_everybody = True

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        answer = await client.ask(story(seed), setup.sizes.answer)
        return {"speed": answer.tokens_per_second, "prompt_tokens": answer.prompt_tokens}
