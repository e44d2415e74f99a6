"""What counts as free when another engine will be stopped first, and which model is taken when nobody chose."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from tests.core.fake_engine import PLAN, model_file
from tests.engine.tiny_embedding_models import write_bert
from tests.engine.tiny_models import write_tiny_model
from tests.engine.tiny_projectors import write_tiny_projector
from tests.library.gguf_files import write_model
from webui.config import Settings
from webui.core.neighbours import Footprint, Neighbours, memory_beside, memory_without
from webui.core.planning import Target, choose_default, create_ladder, create_planner
from webui.errors import LoadFailed, ModelTooBig
from webui.library.catalog import find_starter
from webui.library.embedding_fit import BATCH_SEQUENCES
from webui.library.hardware import count_physical_cores
from webui.library.memory_fit import FitPlan
from webui.types import Gpu, Memory, ModelFile

GB = 10**9


def plan_with_vram(vram: int) -> FitPlan:
    return FitPlan(options=PLAN.options, weights_bytes=0, kv_bytes=0, compute_bytes=0, ram_needed=0, vram_needed=vram)


def starter_file(**changes: str) -> ModelFile:
    path = find_starter()
    assert path is not None
    return ModelFile(id="s", name="SmolLM2", path=path, size_bytes=path.stat().st_size, source="starter", **changes)  # type: ignore[arg-type]


def test_unloading_gives_back_what_the_process_holds_alone_but_not_the_files_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = SimpleNamespace(rss=5 * GB, shared=4 * GB)  # 4 GB of weights, mapped from the file
    monkeypatch.setattr("webui.core.neighbours.psutil.Process.memory_info", lambda self: usage)
    memory = Memory(ram_total=16 * GB, ram_free=10 * GB)
    after = memory_without(memory, Footprint(pid=os.getpid(), plan=PLAN))
    assert after == Memory(ram_total=16 * GB, ram_free=11 * GB)


def test_graphics_memory_comes_back_as_the_plan_took_it_and_never_more_than_there_is() -> None:
    gpus = (
        Gpu(name="a", total_bytes=24 * GB, free_bytes=10 * GB),
        Gpu(name="b", total_bytes=8 * GB, free_bytes=6 * GB),
    )
    memory = Memory(ram_total=GB, ram_free=GB, gpus=gpus)
    after = memory_without(memory, Footprint(pid=None, plan=plan_with_vram(10 * GB)))
    assert [gpu.free_bytes for gpu in after.gpus] == [15 * GB, 8 * GB]


def test_who_stays_was_promised_more_than_it_has_taken_and_who_loads_has_taken_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webui.core.neighbours.private_bytes", lambda pid: GB if pid else 0)
    memory = Memory(ram_total=16 * GB, ram_free=10 * GB, gpus=(Gpu(name="a", total_bytes=9 * GB, free_bytes=8 * GB),))
    options = structs.replace(PLAN.options, parked_bytes=GB // 2)
    plan = replace(plan_with_vram(3 * GB), ram_needed=4 * GB, options=options)
    loaded, loading = Footprint(7, plan), Footprint(None, plan, is_loaded=False)
    after = memory_beside(memory, Neighbours(staying=(loaded,)))
    assert (after.ram_free, after.gpus[0].free_bytes) == (6.5 * GB, 8 * GB), "3.5 GB of the 4.5 are still to come"
    after = memory_beside(memory, Neighbours(staying=(loading,)))
    assert (after.ram_free, after.gpus[0].free_bytes) == (5.5 * GB, 5 * GB)
    after = memory_beside(memory, Neighbours(staying=(loaded, loading, loading)))
    assert (after.ram_free, after.gpus[0].free_bytes) == (0, 2 * GB), "never less than nothing"


def test_an_engine_that_is_gone_already_gives_nothing_back() -> None:
    memory = Memory(ram_total=GB, ram_free=GB // 2)
    assert memory_without(memory, Footprint(pid=2**22 + 1, plan=PLAN)) == memory


def test_the_plan_counts_what_is_freed_and_takes_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = create_planner(settings.model_copy(update={"slots": 2, "threads": 3}))
    target = Target(starter_file(), ctx=1024)
    monkeypatch.setattr("webui.core.planning.read_memory", lambda: Memory(ram_total=2 * GB, ram_free=GB // 10))
    monkeypatch.setattr("webui.core.neighbours.private_bytes", lambda pid: GB)
    with pytest.raises(ModelTooBig):
        plan(target, Neighbours())
    options = plan(target, Neighbours(leaving=(Footprint(pid=1, plan=PLAN),))).options
    assert (options.context_tokens, options.num_slots, options.threads) == (1024, 2, 3)


def test_an_engine_gets_the_physical_cores_when_nobody_said_otherwise(settings: Settings) -> None:
    options = create_planner(settings)(Target(starter_file(), ctx=1024), Neighbours()).options
    assert options.threads == count_physical_cores()


def test_what_is_kept_of_chats_lies_in_the_data_folder(settings: Settings) -> None:
    target = Target(starter_file(), ctx=1024)
    options = create_planner(settings.model_copy(update={"state_mb": 7, "parked_mb": 3}))(target, Neighbours()).options
    assert options.state_dir == str(settings.data_dir / "kv")
    assert (options.state_bytes, options.parked_bytes) == (7 << 20, 3 << 20)
    nothing = create_planner(settings.model_copy(update={"state_mb": 0}))(target, Neighbours()).options
    assert (nothing.state_dir, nothing.state_bytes) == (None, 0)


def test_the_engine_hears_how_its_memory_is_wanted(settings: Settings) -> None:
    wanted = {"kv_layout": "shared", "kv_type": "q8_0", "flash_attention": "on", "speculate": False, "slots": 3}
    options = create_planner(settings.model_copy(update=wanted))(Target(starter_file(), ctx=1024), Neighbours()).options
    assert (options.kv_layout, options.kv_type, options.flash_attention) == ("shared", "q8_0", "on")
    assert (options.speculate, options.num_slots) == (False, 3)


def draft_plan(settings: Settings, draft: Path) -> FitPlan:
    planner = create_planner(settings.model_copy(update={"draft_model": draft}))
    return planner(Target(starter_file(), ctx=1024), Neighbours())


def test_a_draft_model_is_named_in_full_and_counted(settings: Settings, tmp_path: Path) -> None:
    starter = starter_file()
    draft = tmp_path / "draft.gguf"
    shutil.copy(starter.path, draft)
    alone = create_planner(settings)(Target(starter, ctx=1024), Neighbours())
    with_draft = draft_plan(settings, draft)
    assert with_draft.options.draft_model_path == str(draft)
    assert with_draft.ram_needed > alone.ram_needed + starter.size_bytes


def test_a_draft_model_is_left_out_where_it_cannot_guess(settings: Settings, tmp_path: Path) -> None:
    assert draft_plan(settings, starter_file().path).options.draft_model_path is None, "for itself"
    other = write_model(tmp_path / "other-words.gguf", vocab=300)
    assert draft_plan(settings, other).options.draft_model_path is None, "it does not even know the words"
    with pytest.raises(LoadFailed, match=r"draft model .*gone\.gguf cannot be read"):
        draft_plan(settings, tmp_path / "gone.gguf")


def vision_model(folder: Path) -> ModelFile:
    model = write_tiny_model(folder, "llama")
    write_tiny_projector(folder, "mlp").rename(folder / "mmproj-tiny-llama.gguf")
    return ModelFile(id="v", name="Tiny", path=model, size_bytes=model.stat().st_size, source="local")


def test_a_projector_is_named_in_full_and_counted(settings: Settings, tmp_path: Path) -> None:
    target, none = Target(vision_model(tmp_path)), Neighbours()
    memory = Memory(ram_total=16 * GB, ram_free=12 * GB)
    seeing = create_planner(settings, lambda: memory)(target, none)
    assert seeing.options.mmproj_path == str((tmp_path / "mmproj-tiny-llama.gguf").resolve())
    blind = create_planner(settings.model_copy(update={"vision": False}), lambda: memory)(target, none)
    assert blind.options.mmproj_path is None
    assert seeing.ram_needed - blind.ram_needed > 96 << 20


def test_a_model_whose_projector_does_not_fit_is_loaded_without_it(settings: Settings, tmp_path: Path) -> None:
    needed = create_planner(settings, lambda: Memory(ram_total=16 * GB, ram_free=12 * GB))
    blind = needed(Target(vision_model(tmp_path), ctx=512, slots=1), Neighbours()).ram_needed - (64 << 20)
    tight = create_planner(settings, lambda: Memory(ram_total=blind, ram_free=blind))
    assert tight(Target(vision_model(tmp_path), ctx=512, slots=1), Neighbours()).options.mmproj_path is None


def test_a_file_that_the_catalog_calls_unusable_is_not_started(settings: Settings) -> None:
    with pytest.raises(LoadFailed, match="it makes embeddings"):
        create_planner(settings)(Target(starter_file(problem="it makes embeddings")), Neighbours())


def test_a_model_that_embeds_is_planned_as_one(settings: Settings, tmp_path: Path) -> None:
    path = write_bert(tmp_path / "embedder.gguf")
    model = structs.replace(starter_file(), path=path, kind="embedding", is_chat=False)
    options = create_planner(settings)(Target(model), Neighbours()).options
    assert (options.num_slots, options.state_dir) == (BATCH_SEQUENCES, None)


def test_what_a_person_keeps_for_a_model_reaches_its_engine(settings: Settings, tmp_path: Path) -> None:
    draft = tmp_path / "draft.gguf"
    shutil.copy(starter_file().path, draft)
    house = settings.model_copy(update={"draft_model": draft})
    own = Target(starter_file(), ctx=1024, chat_template="{{ messages }}", draft_model="none")
    options = create_planner(house)(own, Neighbours()).options
    assert (options.chat_template, options.draft_model_path) == ("{{ messages }}", None)
    options = create_planner(settings)(replace(own, draft_model=draft), Neighbours()).options
    assert options.draft_model_path == str(draft)


def test_adapters_are_never_the_default() -> None:
    adapter = ModelFile(
        id="a", name="a", path=model_file("a").path, size_bytes=1, source="local", is_chat=False, kind="adapter"
    )
    starter = model_file("starter", source="starter")
    assert choose_default([adapter, starter]) == starter


def test_models_that_cannot_chat_are_never_the_default() -> None:
    embeddings = ModelFile(id="e", name="e", path=model_file("e").path, size_bytes=1, source="local", is_chat=False)
    starter = model_file("starter", source="starter")
    assert choose_default([embeddings, starter]) == starter
    assert choose_default([model_file("mine"), embeddings, starter]) == model_file("mine")


def test_smaller_plans_for_a_failed_load_keep_what_the_engine_is_told(settings: Settings) -> None:
    target = Target(starter_file(), chat_template="{{ messages }}")
    failed = create_planner(settings)(target, Neighbours())
    steps = create_ladder(settings)(target, failed)
    assert steps
    assert steps[0].plan.options.num_slots < failed.options.num_slots
    assert all(step.plan.ram_needed < failed.ram_needed for step in steps)
    assert {step.plan.options.state_dir for step in steps} == {failed.options.state_dir}
    assert {step.plan.options.chat_template for step in steps} == {"{{ messages }}"}
