"""The estimate against what a real engine process with the starter model really takes, when every slot is full.

Pages of the KV memory may be taken from the system only when tokens come, so full contexts are what can be compared.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from webui.core.engine_client import EngineClient
from webui.library.catalog import Catalog
from webui.library.gguf import read_header
from webui.library.hardware import read_memory
from webui.library.memory_fit import Wishes, plan_fit
from webui.types import Finished, GenerationRequest, KvLayout, KvType, Message, SamplingParams


async def fill_a_context(engine: EngineClient, person: int, context_tokens: int) -> None:
    """Ask with a prompt that leaves room for a word or two. All ask the same: further slots are filled by copying."""
    words = "word " * (context_tokens - 48)
    prompt = (Message(role="user", content=words),)
    request = GenerationRequest(messages=prompt, sampling=SamplingParams(max_tokens=2), owner=str(person))
    async with aclosing(engine.generate(request)) as events:
        finished = [event async for event in events][-1]
    assert isinstance(finished, Finished)
    assert finished.usage.prompt_tokens > 0.95 * context_tokens


@pytest.mark.parametrize(
    ("ctx", "slots", "layout", "kv_type"),
    [(1024, 1, "shared", "f16"), (1024, 2, "separate", "f16"), (1024, 2, "separate", "q8_0")],
)
async def test_the_estimate_is_within_a_tenth_of_the_memory_in_use(
    tmp_path: Path, ctx: int, slots: int, layout: KvLayout, kv_type: KvType
) -> None:
    model = await Catalog(tmp_path, []).find("SmolLM2-135M-Instruct.Q4_1")
    wishes = Wishes(ctx=ctx, slots=slots, gpu_layers=0, kv_layout=layout, kv_type=kv_type, parked_bytes=0)
    plan = plan_fit(read_header(model.path), model.name, read_memory(), wishes)
    engine = EngineClient()
    await engine.start(model, plan.options)
    try:
        await asyncio.gather(*(fill_a_context(engine, person, ctx) for person in range(slots)))
        used = engine.memory_bytes
    finally:
        await engine.stop()
    assert 0.9 < plan.ram_needed / used < 1.1
