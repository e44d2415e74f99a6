"""The estimate against what a real engine process with the starter model really takes."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from webui.core.engine_client import EngineClient
from webui.library.catalog import Catalog
from webui.library.gguf import read_header
from webui.library.hardware import read_memory
from webui.library.memory_fit import plan_fit
from webui.types import GenerationRequest, Message, SamplingParams


@pytest.mark.parametrize(("ctx", "slots"), [(1024, 1), (4096, 2)])
async def test_the_estimate_is_within_a_tenth_of_the_memory_in_use(tmp_path: Path, ctx: int, slots: int) -> None:
    model = await Catalog(tmp_path, []).find("SmolLM2-135M-Instruct.Q4_1")
    plan = plan_fit(read_header(model.path), model.name, read_memory(), ctx=ctx, slots=slots, threads=1, gpu_layers=0)
    engine = EngineClient()
    await engine.start(model, plan.options)
    try:
        prompt = (Message(role="user", content="word " * 520),)  # a full batch touches the whole compute buffer
        request = GenerationRequest(messages=prompt, sampling=SamplingParams(max_tokens=2))
        async with aclosing(engine.generate(request)) as events:
            async for _ in events:
                pass
        used = engine.memory_bytes
    finally:
        await engine.stop()
    assert 0.9 < plan.ram_needed / used < 1.1
