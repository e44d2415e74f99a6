"""What one model takes of each device of one machine: the RAM, and every GPU with the run of layers that it gets.

It knows the sums, not what is wanted; the terms are `model_sizes`', the runs `gpu_split`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from webui.library.fit_plan import DeviceUse
from webui.library.gpu_split import Run, split_layers
from webui.library.model_sizes import KvShape, ModelSizes
from webui.types import Memory

_GPU_PROCESS_BYTES = 400_000_000  # RAM that a GPU runtime takes once layers are offloaded
_GPU_MARGIN_BYTES = 768 << 20  # on each GPU: its runtime's context, and a desktop that wants a little more
_MAX_RESERVE_BYTES = 256 << 20


class DeviceSums:
    """`draft` is a second model beside it, with a KV memory of the same shape; `projector_bytes` what it sees through
    takes, all of it on the first GPU that has layers, or in RAM."""

    def __init__(self, sizes: ModelSizes, draft: ModelSizes | None, memory: Memory, projector_bytes: int = 0) -> None:
        self._sizes = sizes
        self._draft = draft
        self._projector = projector_bytes
        self._memory = memory

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

    def usable_vram(self, shape: KvShape) -> int:
        """Each GPU that is used needs a compute buffer and a margin of its own; one too full for these is not used."""
        overhead = self._sizes.compute(shape) + _GPU_MARGIN_BYTES
        return sum(max(0, free - overhead) for free in self._free_vram)

    def most_layers(self, shape: KvShape) -> int:
        """As many as fit, every GPU's run on its GPU; the count includes the output layer, as llama.cpp's does."""
        costs, rooms, num_layers = _LayerCosts(self._sizes, shape), self._rooms(shape), self._sizes.num_layers
        for count in range(num_layers + 1, 0, -1):
            runs = split_layers(num_layers, count, self._free_vram)
            if all(costs.of(run) <= room for run, room in zip(runs, rooms, strict=True) if run[0] < run[1]):
                return count
        return 0

    def uses(self, shape: KvShape, layers: int) -> tuple[DeviceUse, ...]:
        """The RAM, then every GPU, with so many layers offloaded."""
        gpus = tuple(self._gpu_uses(shape, layers))
        return (self._ram_use(shape, layers, gpus), *gpus)

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
            other_bytes=sizes.process + draft + (_GPU_PROCESS_BYTES if layers else self._projector),
            num_layers=sizes.num_layers - sum(gpu.num_layers for gpu in gpus),
        )

    def _gpu_uses(self, shape: KvShape, layers: int) -> Iterator[DeviceUse]:
        sizes = self._sizes
        costs = _LayerCosts(sizes, shape)
        others = self._draft_bytes(shape) + self._projector if layers else 0
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
                other_bytes=others if is_used else 0,
                num_layers=min(end, sizes.num_layers) - min(first, sizes.num_layers),
            )
            others = 0 if is_used else others

    def _draft_bytes(self, shape: KvShape) -> int:
        """A second model with a KV memory of the same shape; counted wherever it may go."""
        draft = self._draft
        return 0 if draft is None else draft.vocabulary + draft.weights + draft.kv(shape) + draft.compute(shape)

    def _rooms(self, shape: KvShape) -> list[int]:
        """What each GPU has for layers. A draft model and a projector go to the first one."""
        overhead = self._sizes.compute(shape) + _GPU_MARGIN_BYTES
        rooms = [free - overhead for free in self._free_vram]
        rooms[0] -= self._draft_bytes(shape) + self._projector
        return rooms


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
