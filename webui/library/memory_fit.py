"""What a model will take of RAM and graphics memory, and the engine options that fit.

Two layouts of the KV memory are weighed. Separate: every slot has a memory of its own for a whole context, which is
fastest, since nobody's attention walks over other people's tokens. Shared: one memory of one or two contexts for all
slots, where memory is scarce. It loads nothing and does not ask the machine: `memory` is given; the terms are
`model_sizes`'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from msgspec import structs

from webui.errors import LoadFailed, ModelTooBig
from webui.library.gguf import GgufHeader
from webui.library.hardware import has_gpu_backend
from webui.library.model_sizes import KV_STEP, KvShape, ModelSizes, round_up
from webui.types import EngineOptions, FlashAttention, KvLayout, KvType, Memory

DEFAULT_CONTEXT = 8192
SMALLEST_DEFAULT_CONTEXT = 2048
WHOLE_CONVERSATIONS = 2  #: whole contexts that a shared KV memory holds side by side; most chats are far shorter
FEWEST_STREAMS = 4  #: separate memories are not worth having fewer answers side by side than this (or than asked for)
MOST_PARKED_BYTES = 1 << 30

_GPU_PROCESS_BYTES = 400_000_000  # RAM that a GPU runtime takes once layers are offloaded
_GPU_MARGIN_BYTES = 768 << 20  # on each GPU: its runtime's context, and a desktop that wants a little more
_MAX_RESERVE_BYTES = 256 << 20
_PARKED_SHARE = 8  # states of idle conversations get this part of what the plan leaves free


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an engine is wanted; None and "auto" mean that the machine decides."""

    ctx: int | None = None
    slots: int = 8  #: the most
    threads: int = 1
    gpu_layers: int | None = None
    kv_layout: KvLayout | Literal["auto"] = "auto"
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    parked_bytes: int | None = None
    draft: GgufHeader | None = None  #: of a small model that guesses ahead


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """One bar of the plan: the RAM or a GPU, and what the model would take of it. `free_bytes` is what is free now, or
    will be once the model before it is gone."""

    name: str  #: "RAM", or the GPU's name
    total_bytes: int
    free_bytes: int
    weights_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0
    other_bytes: int = 0  #: the engine's process, a GPU's runtime, a draft model
    num_layers: int = 0  #: layers that are computed there

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.other_bytes

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.free_bytes


@dataclass(frozen=True, slots=True)
class FitPlan:
    """`options` to start the engine with, and where its bytes go when every slot is full. The sums of RAM and VRAM hold
    everything but parked states, which get a part of what is left."""

    options: EngineOptions
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    ram_needed: int
    vram_needed: int
    devices: tuple[DeviceUse, ...] = ()  #: RAM first, then every GPU


def plan_fit(
    header: GgufHeader, name: str, memory: Memory, wishes: Wishes, *, can_offload: bool | None = None
) -> FitPlan:
    """The plan for this machine, or ModelTooBig with what is needed and what is free.

    A context that is asked for is kept (up to the trained one); the default shrinks before a model is refused.
    `can_offload` None asks whether the installed engine can use a GPU at all. Raises LoadFailed for a KV type that
    the model's heads cannot have.
    """
    _check_kv_type(header, name, wishes.kv_type)
    planner = _Planner(header, memory, wishes, has_gpu_backend() if can_offload is None else can_offload)
    plans = []
    for context in _contexts(header.context_train, wishes.ctx):
        plan = planner.plan(context)
        if planner.fits(plan):
            return planner.with_parking(plan)
        plans.append(plan)
    smallest = plans[-1]
    if smallest.ram_needed > planner.usable_ram:
        raise ModelTooBig(name, smallest.ram_needed, planner.usable_ram)
    raise ModelTooBig(name, smallest.vram_needed, planner.total_vram)


class _Planner:
    """One model on one machine."""

    def __init__(self, header: GgufHeader, memory: Memory, wishes: Wishes, can_offload: bool) -> None:
        self._sizes = ModelSizes(header, wishes.kv_type, wishes.flash_attention)
        self._draft = ModelSizes(wishes.draft, "f16", "auto") if wishes.draft else None
        self._memory = memory
        self._wishes = wishes
        self._offloads = bool(memory.gpus) and wishes.gpu_layers != 0 and can_offload

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def usable_ram(self) -> int:
        """Free RAM less a little for everybody else on the machine."""
        return max(0, self._memory.ram_free - min(_MAX_RESERVE_BYTES, self._memory.ram_total // 32))

    @property
    def total_vram(self) -> int:
        return sum(gpu.free_bytes for gpu in self._memory.gpus)

    def fits(self, plan: FitPlan) -> bool:
        return plan.ram_needed <= self.usable_ram and plan.vram_needed <= self.total_vram

    def _usable_vram(self, shape: KvShape) -> int:
        """Each GPU that is used needs a compute buffer and a margin of its own; one too full for these is not used."""
        overhead = self._sizes.compute(shape) + _GPU_MARGIN_BYTES
        return sum(max(0, gpu.free_bytes - overhead) for gpu in self._memory.gpus)

    # --- the layout ------------------------------------------------------------------------------------------------

    def plan(self, context: int) -> FitPlan:
        """The best plan with this context; it need not fit."""
        wished = self._wishes.kv_layout
        if wished == "separate":
            return self._plan_separate(context, KvShape.separate(1, context), fewest=1, share=1) or self._make(
                KvShape.separate(1, context)
            )
        shared = self._choose_shared(context)
        if wished == "shared":
            return self._make(shared)
        fewest = min(FEWEST_STREAMS, self._wishes.slots)
        return self._plan_separate(context, shared, fewest=fewest, share=2) or self._make(shared)

    def _plan_separate(self, context: int, otherwise: KvShape, *, fewest: int, share: int) -> FitPlan | None:
        """As many separate memories as one `share`-th of what is free beside the weights holds, but never a layer less
        on the GPU than with the shape `otherwise`."""
        for slots in range(self._wishes.slots, fewest - 1, -1):
            shape = KvShape.separate(slots, context)
            if self._choose_gpu_layers(shape) >= self._choose_gpu_layers(otherwise):
                plan = self._make(shape)
                if self._leaves_room(plan, shape, share):
                    return plan
        return None

    def _leaves_room(self, plan: FitPlan, shape: KvShape, share: int) -> bool:
        """Whether the KV memory takes no more than its share of what it could have, in RAM and in VRAM."""
        layers = self._choose_gpu_layers(shape)
        kv = self._sizes.offloaded_kv(layers, shape) if layers else 0
        vram = self._usable_vram(shape) - (plan.vram_needed - kv - self._sizes.compute(shape))
        in_ram = plan.kv_bytes - kv
        ram = self.usable_ram - (plan.ram_needed - in_ram)
        return in_ram * share <= ram and (not layers or kv * share <= vram)

    def _choose_shared(self, context: int) -> KvShape:
        """Room for one whole context at least, for WHOLE_CONVERSATIONS at most; in between what is left beside the
        weights, but no more than a quarter of the free memory."""
        slots, sizes = self._wishes.slots, self._sizes
        least, most = round_up(context), round_up(context * min(slots, WHOLE_CONVERSATIONS))
        largest = KvShape.shared(slots, context, most)
        free = self._usable_vram(largest) if self._offloads else self.usable_ram - sizes.process
        room = min(free // 4, free - sizes.weights - sizes.compute(largest))
        affordable = room // sizes.kv_per_token // KV_STEP * KV_STEP if sizes.kv_per_token else most
        return KvShape.shared(slots, context, max(least, min(most, affordable)))

    def _choose_gpu_layers(self, shape: KvShape) -> int:
        """As many as fit; the count includes the output layer, as llama.cpp's does."""
        if not self._offloads:
            return 0
        most = self._sizes.num_layers + 1
        asked = self._wishes.gpu_layers
        if asked is not None:
            return most if asked < 0 else min(asked, most)
        room = self._usable_vram(shape) - self._draft_bytes(shape)
        for count, cost in enumerate(self._sizes.offload_costs(shape)):
            room -= cost
            if room < 0:
                return count
        return most

    # --- the sums --------------------------------------------------------------------------------------------------

    def _make(self, shape: KvShape) -> FitPlan:
        sizes, layers = self._sizes, self._choose_gpu_layers(shape)
        draft = self._draft_bytes(shape)
        ram = sizes.process + sizes.weights + sizes.kv(shape) + sizes.compute(shape) + draft
        vram = 0
        if layers:
            ram += _GPU_PROCESS_BYTES - sizes.offloaded_weights(layers) - sizes.offloaded_kv(layers, shape)
            vram = sum(sizes.offload_costs(shape)[:layers]) + sizes.compute(shape) + draft
            if layers > sizes.num_layers and self._draft is not None:
                ram -= draft - self._draft.vocabulary
        return FitPlan(
            options=self._options(shape, layers),
            weights_bytes=sizes.weights,
            kv_bytes=sizes.kv(shape),
            compute_bytes=sizes.compute(shape),
            ram_needed=ram,
            vram_needed=vram,
        )

    def _options(self, shape: KvShape, layers: int) -> EngineOptions:
        gpu_layers = -1 if layers > self._sizes.num_layers else layers
        if not self._offloads and self._wishes.gpu_layers:
            gpu_layers = self._wishes.gpu_layers  # a GPU that NVML cannot see (Metal, ROCm): as asked, counted as RAM
        return EngineOptions(
            context_tokens=shape.context_tokens,
            kv_tokens=shape.kv_tokens,
            num_slots=shape.num_slots,
            kv_layout=shape.layout,
            kv_type=self._wishes.kv_type,
            flash_attention=self._wishes.flash_attention,
            gpu_layers=gpu_layers,
            threads=self._wishes.threads,
        )

    def _draft_bytes(self, shape: KvShape) -> int:
        """A second model with a KV memory of the same shape; counted wherever it may go."""
        draft = self._draft
        return 0 if draft is None else draft.vocabulary + draft.weights + draft.kv(shape) + draft.compute(shape)

    def with_parking(self, plan: FitPlan) -> FitPlan:
        parked = self._wishes.parked_bytes
        if parked is None:
            parked = min(MOST_PARKED_BYTES, (self.usable_ram - plan.ram_needed) // _PARKED_SHARE)
        return replace(plan, options=structs.replace(plan.options, parked_bytes=parked))


def _check_kv_type(header: GgufHeader, name: str, kv_type: KvType) -> None:
    """llama.cpp quantizes the numbers of a head in blocks of 32."""
    for length in (header.key_length, header.value_length):
        if kv_type != "f16" and length % 32:
            reason = f"its attention heads have {length} numbers, which {kv_type} cannot hold. Use --kv-type f16."
            raise LoadFailed(name, reason)


def _contexts(trained: int, asked: int | None) -> list[int]:
    """The contexts to try, the wanted one first."""
    if asked is not None:
        return [min(asked, trained) if trained else asked]
    largest = min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    smaller = (size for size in (DEFAULT_CONTEXT // 2, SMALLEST_DEFAULT_CONTEXT) if size < largest)
    return [largest, *smaller]
