"""What the Models page says to the browser and takes from it, without either: pure functions of values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from webui.core.work_orders import EditOrder, MergeOrder, SplitOrder
from webui.errors import InvalidRequest, ModelTooBig
from webui.library.fit_plan import DeviceUse, FitPlan
from webui.store.model_values import AdapterSetting
from webui.types import EngineOptions, ModelFile
from webui.ui.models.change import read_order
from webui.ui.models.compare import is_kin
from webui.ui.models.defaults import read_changes
from webui.ui.models.discover import read_reference
from webui.ui.models.fit import plan_sentence, read_wish
from webui.ui.models.rows import format_seconds, view_fit
from webui.ui.models_sheet import read_description

GB = 10**9


def plan(*devices: DeviceUse, context_tokens: int = 8192) -> FitPlan:
    options = EngineOptions(context_tokens=context_tokens, kv_tokens=8192, num_slots=1, threads=1, gpu_layers=0)
    needed = sum(device.needed_bytes for device in devices)
    return FitPlan(options, needed, 0, 0, ram_needed=needed, vram_needed=0, devices=devices)


RAM = DeviceUse("RAM", total_bytes=16 * GB, free_bytes=8 * GB, weights_bytes=2 * GB, num_layers=12)
GPU = DeviceUse("RTX", total_bytes=8 * GB, free_bytes=8 * GB, weights_bytes=6 * GB, num_layers=20)
FULL = DeviceUse("RAM", total_bytes=16 * GB, free_bytes=GB, weights_bytes=4 * GB, num_layers=32)
LONG = DeviceUse("RAM", total_bytes=16 * GB, free_bytes=8 * GB, weights_bytes=2 * GB, kv_bytes=8 * GB, num_layers=32)


def test_a_badge_says_fits_fits_partly_or_too_big() -> None:
    fits, partly = view_fit(plan(RAM)), view_fit(plan(RAM, GPU))
    too_big = view_fit(ModelTooBig("Huge", 45 * GB, 15 * GB))
    assert fits is not None and partly is not None and too_big is not None
    assert (fits["kind"], fits["words"]) == ("fits", "fits")
    assert (partly["kind"], partly["words"]) == ("partly", "20/32 layers")
    assert (too_big["kind"], too_big["title"]) == ("too_big", "It needs 45.0 GB; 15.0 GB are free")
    assert view_fit(None) is None


def test_the_verdict_is_one_sentence() -> None:
    assert plan_sentence(plan(RAM)) == "It fits with 8k tokens of context."
    assert "20 of 32 layers on the GPU" in plan_sentence(plan(RAM, GPU))
    tight = replace(RAM, free_bytes=2 * GB + GB // 2)
    assert "This leaves 500 MB for everything else" in plan_sentence(plan(tight))
    assert plan_sentence(plan(FULL)).startswith("Too big: its weights alone take 4.0 GB, and 1.0 GB can be used.")
    assert plan_sentence(plan(LONG)).startswith("Too big by 2.0 GB with 8k tokens of context.")


def test_sliders_of_a_strange_browser_are_left_to_glasshouse() -> None:
    assert read_wish({"ctx": "much", "gpuLayers": None, "kvType": "f64"}) == {
        "ctx": None,
        "gpu_layers": None,
        "kv_type": None,
    }
    assert read_wish({"ctx": 1, "gpuLayers": -7, "kvType": "q8_0"}) == {"ctx": 256, "gpu_layers": -1, "kv_type": "q8_0"}


def test_defaults_take_known_names_only() -> None:
    given = {
        "ctx": 10**12,
        "kvType": "zip",
        "adapters": [{"name": "a", "scale": 99}],
        "__class__": "x",
        "draftModel": "",
    }
    changes = read_changes(given)
    assert changes.keys() == {"ctx", "kv_type", "adapters", "draft_model"}
    assert changes["kv_type"] is None
    assert changes["adapters"] == (AdapterSetting(name="a", scale=10.0),)


def test_orders_are_read_or_refused() -> None:
    assert read_order("m", {"kind": "split", "partBytes": 5e7}) == SplitOrder(model="m", max_part_bytes=50_000_000)
    assert read_order("m", {"kind": "edit", "name": "New"}) == EditOrder(model="m", name="New")
    merge = read_order("m", {"kind": "merge", "adapters": [{"name": "a", "scale": 0.5}], "keepsTypes": True})
    assert isinstance(merge, MergeOrder)
    assert merge.precision == "keep"
    for strange in ({"kind": "explode"}, {"kind": "split"}, {"kind": "merge", "adapters": [{"name": "a"}]}):
        with pytest.raises(InvalidRequest):
            read_order("m", strange)


def test_words_are_searched_and_names_are_looked_up() -> None:
    assert read_reference("qwen3 4b") is None
    assert read_reference("small / fast") is None
    assert str(read_reference("org/name:Q4_K_M")) == "org/name:Q4_K_M"


def test_descriptions_are_made_tidy() -> None:
    described = read_description({"title": "  ", "tags": [" a  b ", "a b", ""], "notes": "x" * 9000})
    assert described["title"] is None
    assert described["tags"] == ("a b",)
    assert len(described["notes"]) == 4000


def test_quantizations_of_one_model_are_kin() -> None:
    large = ModelFile(
        id="large",
        name="Large",
        path=Path("large-F16.gguf"),
        size_bytes=2 * GB,
        source="local",
        architecture="llama",
        num_parameters=10**9,
        is_chat=True,
        kind="chat",
    )
    assert is_kin(structs.replace(large, id="small", size_bytes=GB), large)
    assert not is_kin(structs.replace(large, num_parameters=2 * 10**9), large)
    assert not is_kin(structs.replace(large, architecture="qwen3"), large)
    assert not is_kin(structs.replace(large, problem="It is damaged."), large)


def test_seconds_left_are_told_in_round_numbers() -> None:
    assert [format_seconds(each) for each in (0.2, 40, 290)] == ["1 s", "40 s", "5 min"]
