"""A title at any chat length: how many prompt tokens it costs to find one."""

from __future__ import annotations

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import paste
from webui.core.titles import build_title_request


class Title(Scenario):
    """The page's own request for a title, after an answer in chats of several lengths; the dearest counts."""

    bars = (
        Bar("title", "A title at any chat length: prompt tokens evaluated", "tokens", "tokens", 40, at_least=False,
            against=Against.NOTHING),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        costs = []
        async with engine.open_engine(setup) as running:
            for length in setup.sizes.chats:
                chat = paste(length, f"{seed}/{length}")
                asked = engine.request(chat, 32, conversation=f"chat of {length}")
                await engine.ask(running, asked)
                title = await engine.ask(running, build_title_request(asked))
                costs.append(title.usage.prompt_tokens - title.usage.cached_tokens)
        return {"tokens": max(costs)}
