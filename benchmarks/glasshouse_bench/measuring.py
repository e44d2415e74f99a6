"""Runs scenarios: starts the contestants of one, lets them take turns for some rounds, stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from glasshouse_bench.client import AskFailed
from glasshouse_bench.contestants import Contestant, Running
from glasshouse_bench.environments import Unavailable
from glasshouse_bench.results import Failure, Record, Results
from glasshouse_bench.scenarios import Scenario
from glasshouse_bench.setup import Setup
from webui.errors import GlasshouseError

_SETTLE_SECONDS = 1.0  #: between two measurements: what was hung up on has stopped by then
_LONGEST_SECONDS = 1800.0


def choose(scenario: Scenario, contestants: Sequence[Contestant]) -> list[Contestant]:
    """Those that a scenario is asked of."""
    if not scenario.is_over_http():
        return [contestant for contestant in contestants if contestant.is_ours]
    return [
        contestant
        for contestant in contestants
        if contestant.is_ours
        or (contestant.is_reference and (scenario.both_kv_modes or not contestant.is_unified))
        or (scenario.asks_everybody and not contestant.is_reference)
    ]


class Measuring:
    """One scenario with one model; what happens goes into `results`, line by line also to the terminal."""

    def __init__(self, results: Results, scenario: Scenario, setup: Setup) -> None:
        self._results = results
        self._scenario = scenario
        self._setup = setup
        self._running: dict[str, tuple[Running, Any]] = {}

    async def run(self, contestants: Sequence[Contestant], rounds: int) -> None:
        """Every contestant once in each round; whoever begins is another one each time."""
        async with AsyncExitStack() as stack:
            ready = [one for one in contestants if await self._start(stack, one)]
            for number in range(rounds):
                shift = number % max(1, len(ready))
                for contestant in ready[shift:] + ready[:shift]:
                    await self._measure(contestant, number)

    async def _start(self, stack: AsyncExitStack, contestant: Contestant) -> bool:
        if self._asks_engine(contestant):
            return True  # such a scenario starts its engine itself
        try:
            running = await stack.enter_async_context(contestant.run(self._setup))
            async with asyncio.timeout(_LONGEST_SECONDS):
                prepared = await self._scenario.prepare(running.client, self._setup)
        except (Unavailable, AskFailed, TimeoutError) as error:
            self._fail(contestant, error)
            return False
        if not running.ignores_end:
            self._say(contestant, "knows no way to ignore the end token")
        self._running[contestant.key] = (running, prepared)
        return True

    async def _measure(self, contestant: Contestant, number: int) -> None:
        seed = f"{self._scenario.key}/{number}"
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                if self._asks_engine(contestant):
                    figures = await self._scenario.measure_engine(self._setup, seed)
                else:
                    running, prepared = self._running[contestant.key]
                    figures = await self._scenario.measure(running.client, self._setup, seed, prepared)
        except (AskFailed, TimeoutError, GlasshouseError, RuntimeError, AttributeError) as error:
            self._fail(contestant, error)
            return
        finally:
            await asyncio.sleep(_SETTLE_SECONDS)
        record = Record(self._setup.model.key, self._scenario.key, contestant.key, number, figures)
        self._results.records.append(record)
        self._say(contestant, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def _asks_engine(self, contestant: Contestant) -> bool:
        return contestant.is_ours and self._scenario.is_about_engine()

    def _fail(self, contestant: Contestant, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        failure = Failure(contestant.key, reason, self._setup.model.key, self._scenario.key)
        if failure not in self._results.failures:
            self._results.failures.append(failure)
        self._say(contestant, f"not measured: {reason}")

    def _say(self, contestant: Contestant, what: str) -> None:
        print(f"  {self._setup.model.key} {self._scenario.key} {contestant.key}: {what}", flush=True)
