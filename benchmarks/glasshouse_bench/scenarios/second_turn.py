"""The second turn of a 2,000-token chat: how long until its first token."""

from __future__ import annotations

from typing import Any

from glasshouse_bench.client import Client
from glasshouse_bench.scenarios.base import Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import assistant, paste, user, words


class SecondTurn(Scenario):
    """The first turn is answered once; each round asks another second question behind it."""

    bars = (
        Bar("second-turn", "Second turn of a 2,000-token chat: time to first token", "first_token", "s", 1.00,
            at_least=False),
    )  # fmt: skip

    async def prepare(self, client: Client, setup: Setup) -> Any:
        first = paste(setup.sizes.paste, "second turn")
        answer = await client.ask(first, 48)
        chat = [*first, assistant(answer.text)]
        await client.ask([*chat, user("Thank you.")], 2)  # the answer's own last token may not be in the KV yet
        return chat

    async def measure(self, client: Client, setup: Setup, seed: str, prepared: Any) -> Figures:
        answer = await client.ask([*prepared, user(f"And what about the {words(16, seed)}?")], 8)
        return {
            "first_token": answer.first_token_seconds,
            "computed_again": answer.prompt_tokens - answer.cached_tokens,
        }
