"""A continuation that prompt lookup predicts nearly always, against our own plain decoding."""

from __future__ import annotations

import asyncio

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import user, words
from webui.types import EngineLoad

_TIMES = 8
_WORDS_BEGUN = 4
_REPORT_SECONDS = 1.5  #: an engine tells its metrics once a second


class Lookup(Scenario):
    """The answer has begun as one line over and over, and stops in the middle of it; the model goes on. The random
    model repeats the last word, which must therefore be one that it has."""

    bars = (
        Bar("lookup", "A continuation that prompt lookup predicts, one person, against our own plain decoding",
            "guessing", "tokens/s", 1.25, at_least=True, against=Against.OURSELVES, baseline="plain"),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        line = f"The {words(10, seed)}.\n"
        question = engine.request(
            [user(f"Write this line again and again: {line}")],
            setup.sizes.answer,
            continuation=line * _TIMES + " ".join(line.split()[:_WORDS_BEGUN]),
        )
        figures: Figures = {}
        texts = set()
        loads: list[EngineLoad] = []
        for name, speculate in (("plain", False), ("guessing", True)):
            async with engine.open_engine(
                setup, repeating=True, speculate=speculate, on_engine_load=loads.append
            ) as running:
                answer = await engine.ask(running, question)
                await asyncio.sleep(_REPORT_SECONDS)
                figures[name] = answer.tokens_per_second
                texts.add(answer.text)
        figures["same_text"] = float(len(texts) == 1)
        figures["drafted"] = loads[-1].metrics.drafted_tokens
        figures["accepted"] = loads[-1].metrics.accepted_tokens
        return figures
