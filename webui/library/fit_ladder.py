"""Smaller plans for when a load fails although it should have fitted: other programs took memory meanwhile, a driver
wanted more than was reckoned, or the sums were wrong.

Each step takes less than the one before and costs a person as little as possible: first fewer answers side by side,
then a shorter context, then a coarser KV memory, then fewer layers on the GPU, then none. It does not load anything nor
know why the load failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webui.errors import format_bytes
from webui.library.fit_plan import FitPlan, Wishes
from webui.library.gguf import GgufHeader
from webui.library.memory_fit import sketch_fit, usable_kv_types
from webui.types import Memory

_LEAST_CONTEXT = 2048
_LEAST_SAVING = 0.03  # of what the step before takes: less is not worth another try


@dataclass(frozen=True, slots=True)
class FitStep:
    """`words` end a sentence such as “Trying again …”: "with 4 answers side by side instead of 8"."""

    words: str
    plan: FitPlan


@dataclass(frozen=True, slots=True)
class _Idea:
    words: str
    changes: dict[str, object]


def ladder(
    failed: FitPlan,
    header: GgufHeader,
    name: str,
    memory: Memory,
    wishes: Wishes,
    *,
    can_offload: bool | None = None,
) -> Iterator[FitStep]:
    """Steps down from `failed`, made when they are asked for; each keeps what the steps before it gave up. `wishes` are
    those that `failed` was made for; what a person asked for by name is given up too, and told."""
    options = failed.options
    wishes = replace(
        wishes,
        ctx=options.context_tokens,
        slots=options.num_slots,
        kv_layout=options.kv_layout,
        kv_type=options.kv_type,
        gpu_layers=options.gpu_layers,
    )
    last = failed
    for idea in _ideas(failed, header, wishes):
        wishes = replace(wishes, **idea.changes)  # type: ignore[arg-type]
        plan = sketch_fit(header, name, memory, wishes, can_offload=can_offload)
        if plan.fits and _is_worth_trying(plan, last):
            yield FitStep(f"{idea.words} ({format_bytes(plan.ram_needed + plan.vram_needed)} in all)", plan)
            last = plan


def _is_worth_trying(plan: FitPlan, last: FitPlan) -> bool:
    """Whether it takes noticeably less of the RAM or of the graphics memory, or leaves the GPU alone."""
    if last.options.gpu_layers and not plan.options.gpu_layers:
        return True
    if plan.vram_needed:
        return plan.vram_needed <= last.vram_needed * (1 - _LEAST_SAVING)
    return plan.ram_needed <= last.ram_needed * (1 - _LEAST_SAVING)


def _ideas(failed: FitPlan, header: GgufHeader, wishes: Wishes) -> Iterator[_Idea]:
    yield from _fewer_slots(failed)
    yield from _shorter_contexts(failed.options.context_tokens)
    if wishes.kv_type == "f16" and "q8_0" in usable_kv_types(header) and wishes.flash_attention != "off":
        yield _Idea("with a KV memory of 8 bits instead of 16", {"kv_type": "q8_0"})
    yield from _fewer_layers(failed, header.num_layers)


def _fewer_slots(failed: FitPlan) -> Iterator[_Idea]:
    slots = failed.options.num_slots
    if slots > 2:
        words = f"with {slots // 2} answers side by side instead of {slots}"
        yield _Idea(words, {"slots": slots // 2, "kv_layout": failed.options.kv_layout})
    if slots > 1:
        yield _Idea("with one answer at a time", {"slots": 1, "kv_layout": "separate"})


def _shorter_contexts(context: int) -> Iterator[_Idea]:
    shorter = context // 2
    for _ in range(2):
        if shorter >= _LEAST_CONTEXT:
            yield _Idea(f"with a context of {shorter:,} tokens instead of {context:,}", {"ctx": shorter})
        shorter //= 2


def _fewer_layers(failed: FitPlan, num_layers: int) -> Iterator[_Idea]:
    """Half of the layers on the GPU, a quarter, none."""
    asked = failed.options.gpu_layers
    layers = num_layers + 1 if asked < 0 else asked
    if not failed.vram_needed:
        if asked:  # a GPU whose memory nobody could count
            yield _Idea("on the processor alone", {"gpu_layers": 0})
        return
    for part in (2, 4):
        if fewer := layers // part:
            yield _Idea(f"with {fewer} of its {num_layers} layers on the GPU", {"gpu_layers": fewer})
    yield _Idea("on the processor alone", {"gpu_layers": 0})
