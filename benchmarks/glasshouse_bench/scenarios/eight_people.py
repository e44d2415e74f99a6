"""Eight people at once, aggregate tokens/s; with short questions, and with a history of their own each."""

from __future__ import annotations

import asyncio
from typing import Any

from glasshouse_bench.client import Client, aggregate_tokens_per_second
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import history, story

_PEOPLE = 8


class EightPeople(Scenario):
    bars = (Bar("eight-people", "8 people at once, together", "speed", "tokens/s", 1.05, at_least=True),)
    asks_everybody = True

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        questions = [story(f"{seed}/{person}") for person in range(_PEOPLE)]
        answers = await asyncio.gather(*(client.ask(question, setup.sizes.shared_answer) for question in questions))
        return {"speed": aggregate_tokens_per_second(answers)}


class EightPeopleWithHistory(Scenario):
    """Their histories were read before: what is measured is writing beside eight long contexts."""

    bars = (
        Bar("eight-with-history", "8 people with 1,500 tokens of history each, together", "speed", "tokens/s", 1.00,
            at_least=True),
    )  # fmt: skip
    both_kv_modes = True

    async def prepare(self, client: Client, setup: Setup) -> Any:
        for person in range(_PEOPLE):
            await client.ask(self._question(setup, person), 2)

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        questions = [self._question(setup, person) for person in range(_PEOPLE)]
        answers = await asyncio.gather(*(client.ask(question, setup.sizes.shared_answer) for question in questions))
        return {
            "speed": aggregate_tokens_per_second(answers),
            "computed_again": sum(answer.prompt_tokens - answer.cached_tokens for answer in answers),
        }

    def _question(self, setup: Setup, person: int) -> list[dict[str, str]]:
        return history(setup.sizes.history, f"person {person}")
