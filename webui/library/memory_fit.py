"""What a model will take of RAM and graphics memory, and the engine options that fit.

Two layouts of the KV memory are weighed. Separate: every slot has a memory of its own for a whole context, which is
fastest, since nobody's attention walks over other people's tokens. Shared: one memory of one or two contexts for all
slots, where memory is scarce. It loads nothing and does not ask the machine: `memory` is given; the terms are
`model_sizes`'.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from webui.errors import LoadFailed, ModelTooBig
from webui.library.device_sums import DeviceSums
from webui.library.fit_plan import DeviceUse, FitPlan, Wishes
from webui.library.gguf import GgufHeader
from webui.library.hardware import has_gpu_backend
from webui.library.model_sizes import KV_STEP, KvShape, ModelSizes, round_up
from webui.types import EngineOptions, KvType, Memory

__all__ = ["DEFAULT_CONTEXT", "DeviceUse", "FitPlan", "Wishes", "plan_fit", "sketch_fit", "usable_kv_types"]

DEFAULT_CONTEXT = 8192
SMALLEST_DEFAULT_CONTEXT = 2048
WHOLE_CONVERSATIONS = 2  #: whole contexts that a shared KV memory holds side by side; most chats are far shorter
FEWEST_STREAMS = 4  #: separate memories are not worth having fewer answers side by side than this (or than asked for)
MOST_PARKED_BYTES = 1 << 30

_PARKED_SHARE = 8  # states of idle conversations get this part of what the plan leaves free


def plan_fit(
    header: GgufHeader, name: str, memory: Memory, wishes: Wishes, *, can_offload: bool | None = None
) -> FitPlan:
    """The plan for this machine, or ModelTooBig with what is needed and what is free.

    A context that is asked for is kept (up to the trained one); the default shrinks before a model is refused.
    `can_offload` None asks whether the installed engine can use a GPU at all. Raises LoadFailed for a KV type that
    the model's heads cannot have.
    """
    plan = sketch_fit(header, name, memory, wishes, can_offload=can_offload)
    for device in plan.devices:
        if not device.fits:
            raise ModelTooBig(name, device.needed_bytes, device.usable_bytes)
    return plan


def sketch_fit(
    header: GgufHeader, name: str, memory: Memory, wishes: Wishes, *, can_offload: bool | None = None
) -> FitPlan:
    """Like `plan_fit`, but what does not fit is a plan too: the smallest one, to show by how much. Under a millisecond
    for usual models."""
    _check_kv_type(header, name, wishes.kv_type)
    planner = _Planner(header, memory, wishes, has_gpu_backend() if can_offload is None else can_offload)
    largest, *smaller = _contexts(header.context_train, wishes.ctx)
    plan = planner.plan(largest)
    for context in smaller:
        if plan.fits:
            break
        plan = planner.plan(context)
    return planner.with_parking(plan) if plan.fits else plan


def usable_kv_types(header: GgufHeader) -> tuple[KvType, ...]:
    """llama.cpp quantizes the numbers of a head in blocks of 32."""
    if any(length % 32 for length in (header.key_length, header.value_length)):
        return ("f16",)
    return ("f16", "q8_0", "q4_0")


class _Planner:
    """One model on one machine."""

    def __init__(self, header: GgufHeader, memory: Memory, wishes: Wishes, can_offload: bool) -> None:
        self._sizes = ModelSizes(header, wishes.kv_type, wishes.flash_attention)
        draft = ModelSizes(wishes.draft, "f16", "auto") if wishes.draft else None
        self._devices = DeviceSums(self._sizes, draft, memory, wishes.projector_bytes)
        self._wishes = wishes
        self._gpu_layers: dict[KvShape, int] = {}
        self._offloads = bool(memory.gpus) and wishes.gpu_layers != 0 and can_offload

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
        ram, *gpus = plan.devices
        if ram.kv_bytes * share > ram.usable_bytes - (ram.needed_bytes - ram.kv_bytes):
            return False
        kv = sum(gpu.kv_bytes for gpu in gpus)
        others = sum(gpu.weights_bytes + gpu.other_bytes for gpu in gpus)
        return not kv or kv * share <= self._devices.usable_vram(shape) - others

    def _choose_shared(self, context: int) -> KvShape:
        """Room for one whole context at least, for WHOLE_CONVERSATIONS at most; in between what is left beside the
        weights, but no more than a quarter of the free memory."""
        slots, sizes = self._wishes.slots, self._sizes
        least, most = round_up(context), round_up(context * min(slots, WHOLE_CONVERSATIONS))
        largest = KvShape.shared(slots, context, most)
        free = self._devices.usable_vram(largest) if self._offloads else self._devices.usable_ram - sizes.process
        room = min(free // 4, free - sizes.weights - sizes.compute(largest))
        affordable = room // sizes.kv_per_token // KV_STEP * KV_STEP if sizes.kv_per_token else most
        return KvShape.shared(slots, context, max(least, min(most, affordable)))

    def _choose_gpu_layers(self, shape: KvShape) -> int:
        """The count includes the output layer, as llama.cpp's does."""
        if shape not in self._gpu_layers:
            self._gpu_layers[shape] = self._most_gpu_layers(shape)
        return self._gpu_layers[shape]

    def _most_gpu_layers(self, shape: KvShape) -> int:
        if not self._offloads:
            return 0
        most = self._sizes.num_layers + 1
        asked = self._wishes.gpu_layers
        if asked is not None:
            return most if asked < 0 else min(asked, most)
        return self._devices.most_layers(shape)

    # --- the sums --------------------------------------------------------------------------------------------------

    def _make(self, shape: KvShape) -> FitPlan:
        sizes, layers = self._sizes, self._choose_gpu_layers(shape)
        ram, *gpus = devices = self._devices.uses(shape, layers)
        return FitPlan(
            options=self._options(shape, layers),
            weights_bytes=sizes.weights,
            kv_bytes=sizes.kv(shape),
            compute_bytes=sizes.compute(shape),
            ram_needed=ram.needed_bytes,
            vram_needed=sum(gpu.needed_bytes for gpu in gpus),
            devices=devices,
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

    def with_parking(self, plan: FitPlan) -> FitPlan:
        parked = self._wishes.parked_bytes
        if parked is None:
            parked = min(MOST_PARKED_BYTES, (self._devices.usable_ram - plan.ram_needed) // _PARKED_SHARE)
        return replace(plan, options=structs.replace(plan.options, parked_bytes=parked))


def _check_kv_type(header: GgufHeader, name: str, kv_type: KvType) -> None:
    if kv_type not in usable_kv_types(header):
        length = next(length for length in (header.key_length, header.value_length) if length % 32)
        reason = f"its attention heads have {length} numbers, which {kv_type} cannot hold. Use --kv-type f16."
        raise LoadFailed(name, reason)


def _contexts(trained: int, asked: int | None) -> list[int]:
    """The contexts to try, the wanted one first."""
    if asked is not None:
        return [min(asked, trained) if trained else asked]
    largest = min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    smaller = (size for size in (DEFAULT_CONTEXT // 2, SMALLEST_DEFAULT_CONTEXT) if size < largest)
    return [largest, *smaller]
