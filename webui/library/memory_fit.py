"""What a model will take of RAM and graphics memory, and the engine options that fit.

Two layouts of the KV memory are weighed. Separate: every slot has a memory of its own for a whole context, which is
fastest, since nobody's attention walks over other people's tokens. Shared: one memory of one or two contexts for all
slots, where memory is scarce. It loads nothing and does not ask the machine: `memory` is given; the terms are
`model_sizes`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from msgspec import structs

from webui.errors import LoadFailed, ModelTooBig
from webui.library.fit_plan import DeviceUse, FitPlan, Wishes
from webui.library.gguf import GgufHeader
from webui.library.gpu_split import Run, split_layers
from webui.library.hardware import has_gpu_backend
from webui.library.model_sizes import KV_STEP, KvShape, ModelSizes, round_up
from webui.types import EngineOptions, KvType, Memory

__all__ = ["DEFAULT_CONTEXT", "DeviceUse", "FitPlan", "Wishes", "plan_fit", "sketch_fit", "usable_kv_types"]

DEFAULT_CONTEXT = 8192
SMALLEST_DEFAULT_CONTEXT = 2048
WHOLE_CONVERSATIONS = 2  #: whole contexts that a shared KV memory holds side by side; most chats are far shorter
FEWEST_STREAMS = 4  #: separate memories are not worth having fewer answers side by side than this (or than asked for)
MOST_PARKED_BYTES = 1 << 30

_GPU_PROCESS_BYTES = 400_000_000  # RAM that a GPU runtime takes once layers are offloaded
_GPU_MARGIN_BYTES = 768 << 20  # on each GPU: its runtime's context, and a desktop that wants a little more
_MAX_RESERVE_BYTES = 256 << 20
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
        self._draft = ModelSizes(wishes.draft, "f16", "auto") if wishes.draft else None
        self._memory = memory
        self._wishes = wishes
        self._gpu_layers: dict[KvShape, int] = {}
        self._offloads = bool(memory.gpus) and wishes.gpu_layers != 0 and can_offload

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def usable_ram(self) -> int:
        """Free RAM less a little for everybody else on the machine."""
        return max(0, self._memory.ram_free - self._reserved_ram)

    @property
    def _reserved_ram(self) -> int:
        return min(_MAX_RESERVE_BYTES, self._memory.ram_total // 32)

    @property
    def _free_vram(self) -> list[int]:
        return [gpu.free_bytes for gpu in self._memory.gpus]

    def _usable_vram(self, shape: KvShape) -> int:
        """Each GPU that is used needs a compute buffer and a margin of its own; one too full for these is not used."""
        overhead = self._sizes.compute(shape) + _GPU_MARGIN_BYTES
        return sum(max(0, free - overhead) for free in self._free_vram)

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
        return not kv or kv * share <= self._usable_vram(shape) - others

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
        if shape not in self._gpu_layers:
            self._gpu_layers[shape] = self._most_gpu_layers(shape)
        return self._gpu_layers[shape]

    def _most_gpu_layers(self, shape: KvShape) -> int:
        """As many as fit, every GPU's run on its GPU; the count includes the output layer, as llama.cpp's does."""
        if not self._offloads:
            return 0
        most = self._sizes.num_layers + 1
        asked = self._wishes.gpu_layers
        if asked is not None:
            return most if asked < 0 else min(asked, most)
        costs = _LayerCosts(self._sizes, shape)
        rooms = self._rooms(shape)
        for count in range(most, 0, -1):
            runs = split_layers(self._sizes.num_layers, count, self._free_vram)
            if all(costs.of(run) <= room for run, room in zip(runs, rooms, strict=True) if run[0] < run[1]):
                return count
        return 0

    def _rooms(self, shape: KvShape) -> list[int]:
        """What each GPU has for layers. A draft model goes to the first one."""
        overhead = self._sizes.compute(shape) + _GPU_MARGIN_BYTES
        rooms = [free - overhead for free in self._free_vram]
        rooms[0] -= self._draft_bytes(shape)
        return rooms

    # --- the sums --------------------------------------------------------------------------------------------------

    def _make(self, shape: KvShape) -> FitPlan:
        sizes, layers = self._sizes, self._choose_gpu_layers(shape)
        gpus = tuple(self._gpu_uses(shape, layers))
        ram = self._ram_use(shape, layers, gpus)
        return FitPlan(
            options=self._options(shape, layers),
            weights_bytes=sizes.weights,
            kv_bytes=sizes.kv(shape),
            compute_bytes=sizes.compute(shape),
            ram_needed=ram.needed_bytes,
            vram_needed=sum(gpu.needed_bytes for gpu in gpus),
            devices=(ram, *gpus),
        )

    def _ram_use(self, shape: KvShape, layers: int, gpus: tuple[DeviceUse, ...]) -> DeviceUse:
        sizes, draft = self._sizes, self._draft_bytes(shape)
        if layers > sizes.num_layers and self._draft is not None:
            draft = self._draft.vocabulary  # the rest is on the GPU
        return DeviceUse(
            name="RAM",
            total_bytes=self._memory.ram_total,
            free_bytes=self._memory.ram_free,
            reserved_bytes=self._reserved_ram,
            weights_bytes=sizes.weights - sizes.offloaded_weights(layers),
            kv_bytes=sizes.kv(shape) - sum(gpu.kv_bytes for gpu in gpus),
            compute_bytes=sizes.compute(shape),
            other_bytes=sizes.process + draft + (_GPU_PROCESS_BYTES if layers else 0),
            num_layers=sizes.num_layers - sum(gpu.num_layers for gpu in gpus),
        )

    def _gpu_uses(self, shape: KvShape, layers: int) -> Iterator[DeviceUse]:
        sizes = self._sizes
        costs = _LayerCosts(sizes, shape)
        draft = self._draft_bytes(shape) if layers else 0
        runs = split_layers(sizes.num_layers, layers, self._free_vram)
        for gpu, (first, end) in zip(self._memory.gpus, runs, strict=True):
            is_used = first < end
            kv = costs.kv_of((first, end))
            yield DeviceUse(
                name=gpu.name,
                total_bytes=gpu.total_bytes,
                free_bytes=gpu.free_bytes,
                weights_bytes=costs.of((first, end)) - kv,
                kv_bytes=kv,
                compute_bytes=sizes.compute(shape) if is_used else 0,
                other_bytes=draft if is_used else 0,
                num_layers=min(end, sizes.num_layers) - min(first, sizes.num_layers),
            )
            draft = 0 if is_used else draft

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


class _LayerCosts:
    """Bytes of any run of layers with one shape of the KV memory, each in one subtraction."""

    def __init__(self, sizes: ModelSizes, shape: KvShape) -> None:
        kv = sizes.layer_kv(shape)
        self._kv = [0, *accumulate(kv), sum(kv)]
        self._weights = [0, *accumulate(sizes.layer_weights), sum(sizes.layer_weights) + sizes.output]

    def kv_of(self, run: Run) -> int:
        return self._kv[run[1]] - self._kv[run[0]]

    def of(self, run: Run) -> int:
        return self._weights[run[1]] - self._weights[run[0]] + self.kv_of(run)


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
