"""A 2,000-token chat is opened again after a restart, against reading it again."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import assistant, paste, user

_SAVE_SECONDS = 60.0


class Reopening(Scenario):
    bars = (
        Bar("reopening", "Reopening a 2,000-token chat after a restart: time to first token, against reading it again",
            "restored", "s", 0.05, at_least=False, against=Against.OURSELVES, baseline="read_again"),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        chat = paste(setup.sizes.paste, seed)
        with tempfile.TemporaryDirectory(prefix="glasshouse-bench-states-") as folder:
            kept: dict[str, Any] = {"state_dir": folder, "state_bytes": 2**32, "parked_bytes": 2**30}
            async with engine.open_engine(setup, **kept) as first:
                answer = await engine.ask(first, engine.request(chat, 32, conversation="reopened"))
                await _wait_for_a_file(Path(folder))
            chat = [*chat, assistant(answer.text), user("And then?")]
            async with engine.open_engine(setup, **kept) as second:
                restored = await engine.ask(second, engine.request(chat, 4, conversation="reopened"))
        async with engine.open_engine(setup) as third:
            again = await engine.ask(third, engine.request(chat, 4))
        return {
            "restored": restored.first_token_seconds,
            "read_again": again.first_token_seconds,
            "computed_again": restored.usage.prompt_tokens - restored.usage.cached_tokens,
        }


async def _wait_for_a_file(folder: Path) -> None:
    """The engine writes states in the background, once a conversation is idle."""
    async with asyncio.timeout(_SAVE_SECONDS):
        while not _has_state(folder):  # noqa: ASYNC110 - a folder has no event to wait for
            await asyncio.sleep(0.2)


def _has_state(folder: Path) -> bool:
    return any(folder.glob("*/*.kv"))
