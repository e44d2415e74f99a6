"""The estimate against what a real engine process really takes, when every slot is full.

benchmarks/memory_fit does the same with models of up to 2 GB and twelve architectures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.library.measured_memory import Case, measure, size_of

CASES = {
    "the starter model": Case(layout="shared", ctx=512),
    "a KV memory of 8 bits": Case("llama", size_of(384, 8, num_tokens=8000), ctx=512, slots=4, kv_type="q8_0"),
    "rearranged weights": Case("llama", size_of(512, 8, wide=2048, num_tokens=8000), "Q4_K", ctx=512, slots=2),
    "sliding windows": Case("gemma3", size_of(384, 2, num_tokens=20_000, window=128), ctx=512, slots=2),
    "experts": Case("gpt-oss", size_of(384, 2, wide=384, experts=8), ctx=512),
    "attention and a state": Case("falcon-h1", size_of(384, 4, state=64), ctx=512, slots=4),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_estimate_is_within_a_tenth_of_the_memory_in_use(tmp_path: Path, case: Case) -> None:
    measured = await measure(case, tmp_path)
    assert -0.1 < measured.error < 0.1, f"{measured.plan.ram_needed / 1e6:.0f} of {measured.used_bytes / 1e6:.0f} MB"
