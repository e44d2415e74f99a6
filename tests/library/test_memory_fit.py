"""Plans for machines that this one is not."""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import llama_cpp
import pytest

from tests.engine.tiny_models import KINDS, MORE_KINDS, write_tiny_model
from tests.library.plans import ATTENTION, GIB, eight_billion, machine, starter
from webui.engine import context_size
from webui.engine.llama_context import create_context
from webui.errors import LoadFailed, ModelTooBig
from webui.library import model_sizes
from webui.library.fit_words import warn_of_swapping
from webui.library.gguf import GgufHeader, read_header
from webui.library.gguf_layers import LayerMemory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit, sketch_fit
from webui.types import EngineOptions, KvLayout, KvType, Memory

__all__ = ["eight_billion", "starter"]

_SILENT = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)  # the one before must not be called again


class _More(TypedDict, total=False):
    ctx: int
    slots: int
    gpu_layers: int


def _plan(header: GgufHeader, memory: Memory, wishes: Wishes | None = None, **more: Unpack[_More]) -> FitPlan:
    """`shared` unless the test says otherwise: most of these are older than the other layout."""
    return plan_fit(header, "Model", memory, wishes or Wishes(kv_layout="shared", **more), can_offload=True)


# --- the layout of the KV memory -----------------------------------------------------------------------------------


def test_a_small_model_gets_a_memory_for_a_whole_context_in_every_slot(starter: GgufHeader) -> None:
    plan = _plan(starter, machine(24), Wishes())
    options = plan.options
    assert (options.kv_layout, options.num_slots, options.context_tokens) == ("separate", 8, 8192)
    assert options.kv_tokens == 8 * 8192
    assert plan.kv_bytes == 8 * 8192 * 30 * 3 * 128 * 2
    assert options.gpu_layers == 0


def test_as_many_separate_memories_as_half_of_what_is_free_beside_the_weights_holds(eight_billion: GgufHeader) -> None:
    found = {}
    for gigabytes in range(6, 26):
        plan = _plan(eight_billion, machine(gigabytes), Wishes())
        found[gigabytes] = (plan.options.kv_layout, plan.options.num_slots)
        if plan.options.kv_layout == "separate":
            assert plan.kv_bytes <= (gigabytes * GIB - plan.weights_bytes) / 2, "8 GB is a gibibyte for each of 8 slots"
    assert found[6] == found[12] == ("shared", 8)
    assert ("separate", 4) in found.values(), "fewer than four would make people wait for each other"
    assert all(slots >= 4 for layout, slots in found.values() if layout == "separate")
    assert found[25] == ("separate", 8)


def test_one_who_wants_a_single_answer_at_a_time_gets_one_memory_of_its_own(eight_billion: GgufHeader) -> None:
    options = _plan(eight_billion, machine(12), Wishes(slots=1)).options
    assert (options.kv_layout, options.num_slots, options.kv_tokens) == ("separate", 1, 8192)


def test_the_largest_context_comes_before_the_faster_layout(eight_billion: GgufHeader) -> None:
    options = _plan(eight_billion, machine(9), Wishes()).options
    assert (options.kv_layout, options.context_tokens) == ("shared", 8192), "4 × 2048 would fit, separately"


def test_no_layer_leaves_the_gpu_for_the_sake_of_more_slots(eight_billion: GgufHeader) -> None:
    for gigabytes in range(1, 31):
        memory = machine(64, (gigabytes,))
        chosen = _plan(eight_billion, memory, Wishes()).options
        shared = _plan(eight_billion, memory).options
        assert chosen.gpu_layers == shared.gpu_layers, f"with {gigabytes} GB of VRAM"
    assert _plan(eight_billion, machine(64, (8,)), Wishes()).options.kv_layout == "shared"
    assert _plan(eight_billion, machine(64, (24,)), Wishes()).options.kv_layout == "separate"


def test_a_layout_that_was_asked_for_is_kept(starter: GgufHeader, eight_billion: GgufHeader) -> None:
    assert _plan(starter, machine(24)).options.kv_layout == "shared"
    few = _plan(eight_billion, machine(7), Wishes(kv_layout="separate", ctx=8192))
    assert (few.options.kv_layout, few.options.num_slots) == ("separate", 1), "what fits, be it one"
    with pytest.raises(ModelTooBig):
        _plan(eight_billion, machine(5.7), Wishes(kv_layout="separate", ctx=8192))


def test_separate_memories_need_no_wider_attention_mask(starter: GgufHeader) -> None:
    separate = _plan(starter, machine(24), Wishes(kv_layout="separate"))
    one = _plan(starter, machine(24), Wishes(slots=1))
    assert separate.compute_bytes - one.compute_bytes == 7 * 49_152 * 4, "the logits of seven more slots"


@pytest.mark.parametrize(("kv_type", "megabytes"), [("f16", 1440), ("q8_0", 765), ("q4_0", 405)])
def test_a_quantized_memory_is_smaller(starter: GgufHeader, kv_type: KvType, megabytes: int) -> None:
    """llama.cpp's own numbers, from the line that it logs."""
    assert _plan(starter, machine(24), Wishes(kv_type=kv_type)).kv_bytes == megabytes << 20


def test_a_head_that_a_quantized_memory_cannot_hold_is_refused_in_words(starter: GgufHeader) -> None:
    odd = replace(starter, key_length=80, value_length=80)
    with pytest.raises(LoadFailed, match="heads have 80 numbers, which q8_0 cannot hold"):
        _plan(odd, machine(24), Wishes(kv_type="q8_0"))
    assert _plan(odd, machine(24), Wishes()).options.kv_type == "f16"


def test_without_flash_attention_every_head_keeps_its_scores(starter: GgufHeader) -> None:
    compute = _plan(starter, machine(24), Wishes(flash_attention="off")).compute_bytes
    assert 166 << 20 <= compute < 190 << 20, "llama.cpp says 166 MiB, and 5 MB of logits are handed out at most"


def test_the_engine_and_the_plan_agree_on_the_rows_of_guesses() -> None:
    assert model_sizes.SPARE_OUTPUTS == context_size.SPARE_OUTPUTS


def test_a_draft_model_counts_too(starter: GgufHeader, eight_billion: GgufHeader) -> None:
    alone = _plan(eight_billion, machine(64), Wishes())
    together = _plan(eight_billion, machine(64), Wishes(draft=starter))
    assert together.ram_needed - alone.ram_needed > starter.tensor_bytes + 8 * 8192 * 30 * 3 * 128 * 2
    on_gpu = _plan(eight_billion, machine(64, (40,)), Wishes(draft=starter))
    assert on_gpu.vram_needed - _plan(eight_billion, machine(64, (40,)), Wishes()).vram_needed > starter.tensor_bytes


def test_idle_chats_get_an_eighth_of_what_is_left_and_at_most_a_gibibyte(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(8), Wishes())
    assert plan.options.parked_bytes == (8 * GIB - (256 << 20) - plan.ram_needed) // 8
    assert _plan(eight_billion, machine(64), Wishes()).options.parked_bytes == GIB
    assert _plan(eight_billion, machine(8), Wishes(parked_bytes=5)).options.parked_bytes == 5


# --- one memory for all --------------------------------------------------------------------------------------------


def test_a_shared_memory_holds_two_whole_contexts_where_there_is_room(starter: GgufHeader) -> None:
    options = _plan(starter, machine(24)).options
    assert (options.context_tokens, options.kv_tokens, options.num_slots) == (8192, 2 * 8192, 8)


def test_a_shared_memory_takes_at_most_a_quarter_of_what_is_free(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(12))
    assert plan.options.context_tokens == 8192
    assert 8192 < plan.options.kv_tokens < 4 * 8192
    assert plan.kv_bytes <= 12 * GIB / 4
    assert plan.options.kv_tokens % 256 == 0


def test_kv_leaves_room_for_the_weights(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(6.5))
    assert plan.options.kv_tokens >= plan.options.context_tokens
    assert plan.ram_needed <= 6.5 * GIB


def test_the_default_context_never_exceeds_the_trained_one(starter: GgufHeader) -> None:
    assert _plan(replace(starter, context_train=2048), machine(24)).options.context_tokens == 2048
    assert _plan(starter, machine(24), ctx=100_000).options.context_tokens == 8192


def test_the_default_context_shrinks_before_a_model_is_refused(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(5.7))
    assert 2048 <= plan.options.context_tokens < 8192


def test_a_context_that_was_asked_for_is_kept_or_refused(eight_billion: GgufHeader) -> None:
    assert _plan(eight_billion, machine(24), ctx=65_536).options.context_tokens == 65_536
    with pytest.raises(ModelTooBig):
        _plan(eight_billion, machine(8), ctx=65_536)


def test_too_big_names_both_numbers(eight_billion: GgufHeader) -> None:
    with pytest.raises(ModelTooBig, match=r"needs 5\.\d GB, and 2\.\d GB are free") as caught:
        _plan(eight_billion, machine(2.5))
    assert int(str(caught.value.details["needed_bytes"])) > int(str(caught.value.details["free_bytes"]))


def test_a_large_gpu_takes_every_layer_and_frees_the_ram(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(4, (24,)))
    assert plan.options.gpu_layers == -1
    assert plan.options.kv_tokens == 2 * 8192
    assert plan.weights_bytes < plan.vram_needed <= 24 * GIB
    assert plan.ram_needed < 2 * GIB


def test_a_small_gpu_takes_as_many_layers_as_fit(eight_billion: GgufHeader) -> None:
    layers = [_plan(eight_billion, machine(16, (vram,))).options.gpu_layers for vram in (1, 2, 3, 4, 5)]
    assert layers == sorted(layers)
    assert layers[0] < layers[-1] < 33
    assert _plan(eight_billion, machine(16, (0.5,))).options.gpu_layers == 0


@pytest.mark.parametrize("vram", [(4.0,), (6.0,), (3.0, 3.0)])
def test_a_plan_stays_below_the_free_vram(eight_billion: GgufHeader, vram: tuple[float, ...]) -> None:
    plan = _plan(eight_billion, machine(16, vram))
    assert plan.options.gpu_layers > 0
    assert plan.vram_needed < sum(vram) * GIB


def test_layers_that_were_asked_for_are_kept_or_refused(eight_billion: GgufHeader) -> None:
    assert _plan(eight_billion, machine(16, (8,)), gpu_layers=10).options.gpu_layers == 10
    assert _plan(eight_billion, machine(16, (8,)), gpu_layers=0).options.gpu_layers == 0
    with pytest.raises(ModelTooBig):
        _plan(eight_billion, machine(16, (3,)), gpu_layers=-1)


def test_an_engine_without_gpu_support_plans_for_ram(eight_billion: GgufHeader) -> None:
    plan = plan_fit(eight_billion, "Model", machine(16, (24,)), Wishes(slots=1, threads=3), can_offload=False)
    assert (plan.options.gpu_layers, plan.vram_needed, plan.options.threads) == (0, 0, 3)
    assert plan.ram_needed > plan.weights_bytes


def test_layers_for_a_gpu_that_nvml_does_not_see_are_passed_on(eight_billion: GgufHeader) -> None:
    plan = _plan(eight_billion, machine(16), gpu_layers=20)
    assert plan.options.gpu_layers == 20
    assert plan.ram_needed > plan.weights_bytes


def test_sliding_windows_and_recurrent_layers_take_less_kv(eight_billion: GgufHeader) -> None:
    full = _plan(eight_billion, machine(64), slots=1).kv_bytes
    windows = replace(eight_billion, sliding_window=1024, layers=(replace(ATTENTION, is_window=True), ATTENTION) * 16)
    hybrid = replace(eight_billion, layers=(LayerMemory(state=16 * 8192), ATTENTION) * 16)
    assert full == 8192 * 32 * 8 * 256 * 2
    assert _plan(windows, machine(64), slots=1).kv_bytes == full // 2 + 1536 * 16 * 8 * 256 * 2
    assert full // 2 < _plan(hybrid, machine(64), slots=1).kv_bytes < full * 0.6


def test_a_layer_that_attends_and_remembers_keeps_both(eight_billion: GgufHeader) -> None:
    both = replace(eight_billion, layers=(replace(ATTENTION, state=1_000_000),) * 32)
    more = _plan(both, machine(64)).kv_bytes - _plan(eight_billion, machine(64)).kv_bytes
    assert more == 32 * 8 * 1_000_000 * 4, "32 layers, 8 slots"


@pytest.mark.parametrize("kind", [*KINDS, *MORE_KINDS])
@pytest.mark.parametrize("layout", ["separate", "shared"])
def test_the_kv_memory_is_what_llama_cpp_makes(tmp_path: Path, kind: str, layout: KvLayout) -> None:
    """For every kind of memory: attention, latent attention, sliding windows, recurrent states, and both."""
    path = write_tiny_model(tmp_path, kind)
    wishes = Wishes(ctx=2048, slots=6, kv_layout=layout)
    plan = plan_fit(read_header(path), kind, machine(8), wishes, can_offload=False)
    logged = kv_megabytes(path, plan.options)
    assert plan.kv_bytes / (1 << 20) == pytest.approx(logged, abs=0.011)  # it logs hundredths


def kv_megabytes(path: Path, options: EngineOptions) -> float:
    """What llama.cpp itself says when it makes the memory, in MiB."""
    lines: list[str] = []
    callback = llama_cpp.llama_log_callback(lambda _level, text, _data: lines.append(text.decode()))
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    context = create_context(model, options)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
    return sum(float(found[1]) for line in lines if (found := re.search(r" (?:KV|RS) buffer size =\s*([\d.]+)", line)))


# --- device by device ----------------------------------------------------------------------------------------------


def test_the_bars_add_up_to_the_sums(eight_billion: GgufHeader) -> None:
    for memory in (machine(32), machine(32, (6,)), machine(32, (24,)), machine(32, (4, 6)), machine(32, (0.1, 12))):
        plan = _plan(eight_billion, memory, Wishes())
        ram, *gpus = plan.devices
        assert (ram.name, ram.free_bytes, len(gpus)) == ("RAM", memory.ram_free, len(memory.gpus))
        assert ram.needed_bytes == plan.ram_needed
        assert sum(gpu.needed_bytes for gpu in gpus) == plan.vram_needed
        assert sum(device.kv_bytes for device in plan.devices) == plan.kv_bytes
        assert sum(device.num_layers for device in plan.devices) == 32
        assert sum(device.weights_bytes for device in plan.devices) == plan.weights_bytes
        assert plan.fits


def test_layers_are_split_over_gpus_as_llama_cpp_does_and_no_gpu_is_overfull(eight_billion: GgufHeader) -> None:
    small, large = _plan(eight_billion, machine(32, (4, 12)), ctx=8192).devices[1:]
    assert small.num_layers + large.num_layers == 32
    assert small.num_layers == 9, "a quarter of 33, rounded up: the output layer counts and goes last"
    assert large.weights_bytes > 3 * small.weights_bytes - 130_000_000
    for first in (1, 1.5, 2, 3):
        for gpu in _plan(eight_billion, machine(32, (first, 3)), ctx=8192).devices[1:]:
            assert gpu.needed_bytes + (768 << 20) <= gpu.free_bytes or not gpu.needed_bytes


def test_a_sketch_shows_by_how_much_a_model_is_too_big(eight_billion: GgufHeader) -> None:
    plan = sketch_fit(eight_billion, "Model", machine(2.5), Wishes(ctx=8192), can_offload=True)
    assert not plan.fits
    [ram] = plan.devices
    assert ram.needed_bytes > ram.usable_bytes
    assert ram.usable_bytes < ram.free_bytes, "a little is kept for everybody else"


@pytest.mark.parametrize("memory", [machine(32), machine(32, (6,)), machine(64, (6, 12, 24))])
def test_a_plan_takes_less_than_five_milliseconds(eight_billion: GgufHeader, memory: Memory) -> None:
    many = replace(eight_billion, num_layers=80, layers=(ATTENTION,) * 80, layer_bytes=(130_000_000,) * 80)
    seconds = []
    for context in range(2048, 131_072, 8192):
        started = time.perf_counter()
        sketch_fit(many, "Model", memory, Wishes(ctx=context), can_offload=True)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.005


def test_a_file_that_tells_nothing_still_gets_a_plan(starter: GgufHeader, tmp_path: Path) -> None:
    silent = replace(starter, context_train=0, num_layers=0, num_kv_heads=(), layers=(), layer_bytes=(), vocab_size=0)
    options = _plan(silent, machine(8)).options
    assert options.context_tokens == 8192
    assert options.kv_tokens >= 8192


# --- a plan that leaves too little ---------------------------------------------------------------------------------


def test_a_plan_that_leaves_too_little_is_told_before_the_machine_swaps(eight_billion: GgufHeader) -> None:
    roomy = _plan(eight_billion, machine(24), ctx=8192, slots=1)
    assert warn_of_swapping(roomy) is None
    tight = _plan(eight_billion, machine((roomy.ram_needed + (300 << 20)) / GIB), ctx=8192, slots=1)
    assert tight.fits
    assert "may begin to swap once chats grow long. Choose a shorter context" in (warn_of_swapping(tight) or "")


def test_what_does_not_fit_is_refused_rather_than_warned_of(eight_billion: GgufHeader) -> None:
    plan = sketch_fit(eight_billion, "Model", machine(2.5), Wishes(ctx=8192), can_offload=True)
    assert warn_of_swapping(plan) is None
