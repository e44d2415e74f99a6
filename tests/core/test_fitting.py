"""The sliders' sheet: plans for every position, from one reading of the file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.core.test_planning import starter_file
from tests.library.gguf_files import write_model
from webui.config import Settings
from webui.core import fitting
from webui.core.application import Application
from webui.core.doctor.tuned_planner import with_tuned_memory
from webui.core.fitting import FitSheet, Fitting
from webui.core.neighbours import Neighbours
from webui.core.planning import Target
from webui.errors import DamagedGguf, UnknownModel
from webui.types import Gpu, Memory, ModelFile, Tuning

GB = 10**9


async def sheet(settings: Settings, monkeypatch: pytest.MonkeyPatch, memory: Memory, **more: int) -> FitSheet:
    monkeypatch.setattr(fitting, "read_memory", lambda: memory)
    monkeypatch.setattr(fitting, "has_gpu_backend", lambda: True)

    async def find(_name: str) -> Target:
        return Target(starter_file(), **more)  # type: ignore[arg-type]

    return await Fitting(settings, find, Neighbours).sheet("starter")


MACHINE = Memory(ram_total=16 * GB, ram_free=8 * GB, gpus=(Gpu(name="Card", total_bytes=8 * GB, free_bytes=4 * GB),))


async def test_the_bar_moves_with_the_sliders(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await sheet(settings, monkeypatch, MACHINE)
    assert (page.num_layers, page.largest_context, page.kv_types) == (30, 8192, ("f16", "q8_0", "q4_0"))
    ram, card = page.plan(ctx=2048, gpu_layers=0).devices
    assert (ram.num_layers, card.num_layers, card.needed_bytes) == (30, 0, 0)
    ram, card = page.plan(ctx=2048, gpu_layers=11).devices
    assert (ram.num_layers, card.num_layers) == (20, 10)
    assert card.name == "Card"
    assert page.plan().devices[1].num_layers == 30, "as many as fit"
    finer, coarser = page.plan(ctx=8192), page.plan(ctx=8192, kv_type="q4_0")
    assert coarser.kv_bytes < finer.kv_bytes / 3
    started = time.perf_counter()
    for context in range(1024, 8193, 1024):
        page.plan(ctx=context)
    assert (time.perf_counter() - started) / 8 < 0.005


async def test_what_does_not_fit_is_shown_not_raised(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await sheet(settings, monkeypatch, Memory(ram_total=GB, ram_free=GB // 4))
    plan = page.plan(ctx=8192)
    assert not plan.fits
    assert plan.devices[0].needed_bytes > plan.devices[0].usable_bytes


async def test_the_largest_context_that_fits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Memory(ram_total=GB, ram_free=int(0.4 * GB))
    page = await sheet(settings.model_copy(update={"slots": 1}), monkeypatch, room)
    largest = page.largest_fitting_context()
    assert 1024 <= largest < 8192
    assert page.plan(ctx=largest).fits
    assert not page.plan(ctx=largest + 1024).fits
    assert page.largest_fitting_context(kv_type="q4_0") > largest
    nothing = await sheet(settings, monkeypatch, Memory(ram_total=GB, ram_free=GB // 10))
    assert nothing.largest_fitting_context() == 0


async def test_an_embedding_model_has_a_sheet_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "read_memory", lambda: MACHINE)
    path = write_model(tmp_path / "e.gguf", architecture="bert")
    model = ModelFile(id="e", name="E", path=path, size_bytes=1, source="local", is_chat=False, kind="embedding")

    async def find(_name: str) -> Target:
        return Target(model)

    page = await Fitting(settings, find, Neighbours).sheet("e")
    assert page.kv_types == ("f16",)
    assert page.plan(ctx=512).options.context_tokens == 512
    assert page.plan(gpu_layers=0).fits


async def test_a_sheet_of_the_application(settings: Settings) -> None:
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    (settings.models_dir / "broken.gguf").write_bytes(b"GGUF")
    async with Application(settings) as application:
        page = await application.fitting.sheet("SmolLM2-135M-Instruct.Q4_1")
        assert page.plan(ctx=1024).options.context_tokens == 1024
        with pytest.raises(UnknownModel):
            await application.fitting.sheet("nobody")
        with pytest.raises(DamagedGguf):
            await application.fitting.sheet("broken")


async def test_the_sheet_plans_with_what_the_doctor_recommends(settings: Settings) -> None:
    """As loading does: what a person set comes first, and only what takes memory matters here."""

    async def find(name: str) -> Target:
        return Target(starter_file(), kv_type="q8_0" if name == "set" else None)

    async def sheet_of(name: str, settings: Settings) -> FitSheet:
        found = Tuning(kv_type="q4_0", flash_attention="on", threads=1)
        return await Fitting(settings, with_tuned_memory(find, settings, lambda _: found), Neighbours).sheet(name)

    assert (await sheet_of("", settings)).plan().options.kv_type == "q4_0"
    assert (await sheet_of("set", settings)).plan().options.kv_type == "q8_0"
    chosen = settings.model_copy(update={"kv_type": "f16"})
    assert (await sheet_of("", chosen)).plan().options.kv_type == "f16"
