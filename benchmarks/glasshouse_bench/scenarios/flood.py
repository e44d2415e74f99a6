"""One person floods 50 long prompts: how long another waits for a first token, against an idle engine."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import suppress

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import paste
from webui.core.engine_client import EngineClient
from webui.errors import EngineBusy, EngineStopped

_QUESTIONS = 5
_QUESTION_TOKENS = 100


class Flood(Scenario):
    """Both are of the same class: nobody is helped by a better priority."""

    bars = (
        Bar("flood", "One person floods 50 long prompts: another's time to first token, against idle", "flooded", "s",
            2.0, at_least=False, against=Against.OURSELVES, baseline="idle"),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        async with engine.open_engine(setup) as running:
            idle = await _ask_several(running, f"{seed}/idle")
            prompts = [paste(setup.sizes.flood_prompt, f"{seed}/flood/{number}") for number in range(setup.sizes.flood)]
            flood = [asyncio.create_task(_ask_once(running, prompt)) for prompt in prompts]
            await asyncio.sleep(1.0)
            flooded = await _ask_several(running, f"{seed}/flooded")
            still_flooding = sum(not task.done() for task in flood)
            for task in flood:
                task.cancel()
            await asyncio.wait(flood)
        return {"idle": idle, "flooded": flooded, "still_flooding": still_flooding}


async def _ask_several(running: EngineClient, seed: str) -> float:
    """The median time to first token of some questions, one after the other."""
    waits = []
    for number in range(_QUESTIONS):
        question = engine.request(paste(_QUESTION_TOKENS, f"{seed}/{number}"), 8, owner="another")
        waits.append((await engine.ask(running, question)).first_token_seconds)
    return statistics.median(waits)


async def _ask_once(running: EngineClient, prompt: list[dict[str, str]]) -> None:
    with suppress(EngineBusy, EngineStopped):  # a full queue says so; that is part of being fair
        await engine.ask(running, engine.request(prompt, 256, owner="the flood"))
