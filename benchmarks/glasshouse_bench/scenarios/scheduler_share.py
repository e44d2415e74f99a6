"""How much of a decode step is Glasshouse's own: everything between two steps that is not inside llama.cpp."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

from glasshouse_bench import engine
from glasshouse_bench.scenarios.base import Against, Bar, Figures, Scenario
from glasshouse_bench.setup import REPOSITORY, ROOT, Setup
from glasshouse_bench.text import story

_PEOPLE = 8


class SchedulerShare(Scenario):
    """An engine whose calls into llama.cpp are timed writes eight answers. Counted as our own: the scheduler, building
    the batch, detokenizing, the pipe, Python itself."""

    bars = (
        Bar("scheduler-share", "The scheduler's own share of a decode step, 8 sequences", "share", "%", 3.0,
            at_least=False, against=Against.NOTHING),
    )  # fmt: skip

    async def measure_engine(self, setup: Setup, seed: str) -> Figures:
        with tempfile.TemporaryDirectory(prefix="glasshouse-bench-steps-") as folder:
            log = Path(folder) / "steps.jsonl"
            paths = f"{ROOT}:{REPOSITORY}"
            command = ["env", f"PYTHONPATH={paths}", sys.executable, "-m", "glasshouse_bench.timed_engine", str(log)]
            async with engine.open_engine(setup, command=command) as running:
                questions = [engine.request(story(f"{seed}/{person}"), setup.sizes.answer) for person in range(_PEOPLE)]
                await asyncio.gather(*(engine.ask(running, question) for question in questions))
            steps = [json.loads(line) for line in log.read_text().splitlines()]
        full = [step for step in steps if step["tokens"] == _PEOPLE]
        if not full:
            raise RuntimeError("no step had a token of each of the eight")
        return {
            "share": 100 * statistics.median(1 - step["inside"] / step["seconds"] for step in full),
            "step_ms": 1000 * statistics.median(step["seconds"] for step in full),
        }
