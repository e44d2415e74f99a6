"""Loads a model in a real engine process, fills every slot to the end of its context, and tells what it took.

Pages of the KV memory are taken from the system only when tokens come, so full contexts are what can be compared with
a plan. Used by the suite for small models and by benchmarks/memory_fit for large ones.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from tests.engine.tiny_models import Size, write_model
from webui.core.engine_client import EngineClient
from webui.library.catalog import find_starter
from webui.library.gguf import read_header
from webui.library.hardware import read_memory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit
from webui.types import Finished, GenerationRequest, KvLayout, KvType, Message, ModelFile, SamplingParams


@dataclass(frozen=True)
class Case:
    """A model, and how it is loaded."""

    kind: str = "starter"  #: or an architecture of tiny_models
    size: Size | None = None
    type_name: str = "F16"
    ctx: int = 1024
    slots: int = 1
    layout: KvLayout = "separate"
    kv_type: KvType = "f16"


@dataclass(frozen=True)
class Measured:
    file_bytes: int
    plan: FitPlan
    used_bytes: int  #: resident memory of the process

    @property
    def error(self) -> float:
        """0.05: five percent more was planned than used."""
        return self.plan.ram_needed / self.used_bytes - 1


def size_of(width: int, layers: int, **more: int) -> Size:
    """`layers` of llama, or groups of them; heads of 64 numbers, about a quarter of them with KV."""
    head_width = more.pop("head_width", 64)
    heads = width // head_width
    kv_heads = next(count for count in range(max(1, heads // 4), 0, -1) if heads % count == 0)
    usual = {"wide": 3 * width, "heads": heads, "kv_heads": kv_heads, "num_tokens": 32_000, "window": 512}
    return Size(width=width, head_width=head_width, num_layers=layers, groups=layers, **(usual | more))


async def measure(case: Case, folder: Path) -> Measured:
    """The model is written to `folder` and removed again."""
    path = _write(case, folder)
    model = ModelFile(id="m", name=case.kind, path=path, size_bytes=path.stat().st_size, source="local")
    wishes = Wishes(
        ctx=case.ctx,
        slots=case.slots,
        threads=2,
        gpu_layers=0,
        kv_layout=case.layout,
        kv_type=case.kv_type,
        parked_bytes=0,
    )
    plan = plan_fit(read_header(path), case.kind, read_memory(), wishes)
    engine = EngineClient()
    await engine.start(model, plan.options)
    try:
        room = min(case.ctx, plan.options.kv_tokens // case.slots) if case.layout == "shared" else case.ctx
        await asyncio.gather(*(_fill(engine, person, room, case.kind) for person in range(case.slots)))
        return Measured(model.size_bytes, plan, engine.memory_bytes)
    finally:
        await engine.stop()
        if case.kind != "starter":
            path.unlink()


def _write(case: Case, folder: Path) -> Path:
    if case.size is not None:
        return write_model(folder / "model.gguf", case.kind, case.size, case.type_name)
    starter = find_starter()
    assert starter is not None
    return starter


async def _fill(engine: EngineClient, person: int, room: int, kind: str) -> None:
    """A prompt that leaves room for a word or two. The random models take every letter for a token."""
    text = "word " * (room - 48) if kind == "starter" else "x" * (room - 72)
    prompt = (Message(role="user", content=f"{person} {text}"),)
    request = GenerationRequest(messages=prompt, sampling=SamplingParams(max_tokens=2), owner=str(person))
    async with aclosing(engine.generate(request)) as events:
        finished = [event async for event in events][-1]
    assert isinstance(finished, Finished)
    assert finished.usage.prompt_tokens > 0.9 * room
