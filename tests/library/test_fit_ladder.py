"""Steps down from a plan that should have fitted: what each gives up, and what it says."""

from __future__ import annotations

from dataclasses import replace

from tests.library.plans import ATTENTION, GIB, eight_billion, machine
from webui.library import fit_ladder
from webui.library.fit_ladder import FitStep
from webui.library.fit_plan import Wishes
from webui.library.gguf import GgufHeader
from webui.library.memory_fit import sketch_fit
from webui.types import Memory

__all__ = ["eight_billion"]


def steps(header: GgufHeader, memory: Memory, wishes: Wishes | None = None) -> list[FitStep]:
    wishes = wishes or Wishes()
    failed = sketch_fit(header, "Model", memory, wishes, can_offload=True)
    return list(fit_ladder.ladder(failed, header, "Model", memory, wishes, can_offload=True))


def words(found: list[FitStep]) -> list[str]:
    return [step.words.partition(" (")[0] for step in found]


def test_on_a_processor_answers_side_by_side_go_first_then_context_then_bits(eight_billion: GgufHeader) -> None:
    found = steps(eight_billion, machine(32))
    assert words(found) == [
        "with 4 answers side by side instead of 8",
        "with one answer at a time",
        "with a context of 4,096 tokens instead of 8,192",
        "with a context of 2,048 tokens instead of 8,192",
    ]
    assert [step.plan.options.num_slots for step in found] == [4, 1, 1, 1]
    assert [step.plan.options.context_tokens for step in found] == [8192, 8192, 4096, 2048]


def test_every_step_takes_less_than_the_one_before(eight_billion: GgufHeader) -> None:
    for memory in (machine(32), machine(12), machine(32, (6,)), machine(32, (24,)), machine(64, (6, 12))):
        found = steps(eight_billion, memory, Wishes(ctx=32_768))
        total = [step.plan.ram_needed if not step.plan.vram_needed else step.plan.vram_needed for step in found]
        before_cpu = [size for size, step in zip(total, found, strict=True) if step.plan.vram_needed]
        assert before_cpu == sorted(before_cpu, reverse=True)
        assert all(step.plan.fits for step in found)
        assert all(step.words.endswith("GB in all)") for step in found)


def test_a_full_gpu_gets_half_of_the_layers_then_a_quarter_then_none(eight_billion: GgufHeader) -> None:
    found = steps(eight_billion, machine(32, (24,)), Wishes(slots=1, ctx=2048))
    assert words(found) == [
        "with 16 of its 32 layers on the GPU",
        "with 8 of its 32 layers on the GPU",
        "on the processor alone",
    ]
    assert [step.plan.options.gpu_layers for step in found] == [16, 8, 0]
    assert found[-1].plan.vram_needed == 0


def test_a_large_kv_memory_is_made_coarser_where_its_heads_allow_it(eight_billion: GgufHeader) -> None:
    wide = replace(eight_billion, layers=(replace(ATTENTION, keys=8192, values=8192),) * 32)
    assert "with a KV memory of 8 bits instead of 16" in words(steps(wide, machine(64), Wishes(slots=1)))
    odd = replace(wide, key_length=80)
    assert "with a KV memory of 8 bits instead of 16" not in words(steps(odd, machine(64), Wishes(slots=1)))


def test_a_gpu_that_nobody_can_count_is_left_alone_in_the_end(eight_billion: GgufHeader) -> None:
    found = steps(eight_billion, machine(32), Wishes(gpu_layers=20, slots=1, ctx=2048))
    assert words(found) == ["on the processor alone"]
    assert found[0].plan.options.gpu_layers == 0


def test_a_machine_that_has_room_for_nothing_gets_no_step(eight_billion: GgufHeader) -> None:
    assert steps(eight_billion, Memory(ram_total=16 * GIB, ram_free=GIB)) == []
