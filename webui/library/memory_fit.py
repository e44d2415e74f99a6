"""What a model will take of RAM and graphics memory, and the engine options that fit. Pure arithmetic over a header.

The terms were checked against llama.cpp's own buffer sizes and the resident memory of loaded models (see
tests/library/test_memory_fit_real.py), as the engine sets them up: F16 KV in one memory for all slots, sliding-window
layers with their windows only, flash attention. It loads nothing and does not ask the machine: `memory` is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from webui.errors import ModelTooBig
from webui.library.gguf import GgufHeader
from webui.library.hardware import has_gpu_backend
from webui.types import EngineOptions, Memory

DEFAULT_CONTEXT = 8192
SMALLEST_DEFAULT_CONTEXT = 2048
WHOLE_CONVERSATIONS = 2  #: whole contexts that the KV memory holds side by side; most chats are far shorter

_KV_STEP = 256  # llama.cpp rounds the KV memory up to this many cells
_KV_ELEMENT_BYTES = 2  # F16
_FLOAT_BYTES = 4
_PROCESS_BYTES = 60_000_000  # the interpreter, llama.cpp and the protocol, without a model
_TOKEN_BYTES = 400  # the tokenizer's tables, for each token of the vocabulary
_GPU_PROCESS_BYTES = 400_000_000  # RAM that a GPU runtime takes once layers are offloaded
_GPU_MARGIN_BYTES = 768 << 20  # on each GPU: its runtime's context, and a desktop that wants a little more
_MAX_RESERVE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class FitPlan:
    """`options` to start the engine with, and where its bytes go. RAM and VRAM sums hold everything."""

    options: EngineOptions
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    ram_needed: int
    vram_needed: int


def plan_fit(
    header: GgufHeader,
    name: str,
    memory: Memory,
    *,
    ctx: int | None,
    slots: int,
    threads: int,
    gpu_layers: int | None,
    can_offload: bool | None = None,
) -> FitPlan:
    """The plan for this machine, or ModelTooBig with what is needed and what is free.

    A context that is asked for is kept (up to the trained one); the default shrinks before a model is refused.
    `can_offload` None asks whether the installed engine can use a GPU at all.
    """
    offloads = bool(memory.gpus) and gpu_layers != 0 and (has_gpu_backend() if can_offload is None else can_offload)
    sizes = _Sizes(header, slots)
    plans = []
    for context in _contexts(header.context_train, ctx):
        kv_tokens = _choose_kv_tokens(sizes, memory, context, offloads)
        layers = _choose_gpu_layers(sizes, memory, kv_tokens, gpu_layers) if offloads else 0
        plan = _make_plan(sizes, context, kv_tokens, threads, layers)
        if not offloads and gpu_layers:  # a GPU that NVML cannot see (Metal, ROCm): as asked, counted as RAM
            plan = replace(plan, options=structs.replace(plan.options, gpu_layers=gpu_layers))
        if plan.ram_needed <= _usable_ram(memory) and plan.vram_needed <= _total_vram(memory):
            return plan
        plans.append(plan)
    smallest = plans[-1]
    if smallest.ram_needed > _usable_ram(memory):
        raise ModelTooBig(name, smallest.ram_needed, _usable_ram(memory))
    raise ModelTooBig(name, smallest.vram_needed, _total_vram(memory))


class _Sizes:
    """The header's terms in bytes."""

    def __init__(self, header: GgufHeader, slots: int) -> None:
        self.slots = slots
        self.batch = EngineOptions(context_tokens=0, kv_tokens=0, num_slots=slots).batch_tokens
        self.weights = header.tensor_bytes
        self.num_layers = header.num_layers
        self._layer_weights = header.layer_bytes
        head_bytes = (header.key_length + header.value_length) * _KV_ELEMENT_BYTES
        self._kv_per_token = tuple(heads * head_bytes for heads in header.num_kv_heads)
        self._state = header.recurrent_state_length * _FLOAT_BYTES * slots  # of a layer that keeps no KV
        # Tied embeddings: a GPU that takes the output layer gets a copy of the input embeddings.
        self._output = header.output_bytes if header.has_output else header.output_bytes + header.input_bytes
        self._width = 2 * header.feed_forward_length + 6 * header.embedding_length
        self._swa_layers = header.swa_layers or (False,) * header.num_layers
        self._swa_tokens = _round_up(header.sliding_window * slots + self.batch)
        self._vocab_size = header.vocab_size

    @property
    def process(self) -> int:
        return _PROCESS_BYTES + self._vocab_size * _TOKEN_BYTES

    @property
    def kv_per_token(self) -> int:
        """What one more token takes once the sliding windows are full."""
        return sum(size for size, is_swa in zip(self._kv_per_token, self._swa_layers, strict=True) if not is_swa)

    def kv(self, kv_tokens: int) -> int:
        return sum(self._layer_kv(layer, kv_tokens) for layer in range(self.num_layers))

    def compute(self, kv_tokens: int) -> int:
        """Activations of the widest layer and the F16 attention mask for a whole batch; logits for each slot."""
        logits = 2 * self.slots * self._vocab_size * _FLOAT_BYTES  # as computed, and as handed out
        return self.batch * (self._width * _FLOAT_BYTES + kv_tokens * 2) + logits

    def offload_costs(self, kv_tokens: int) -> list[int]:
        """VRAM of the output layer and then of the layers from the last to the first, as llama.cpp takes them."""
        layers = reversed(range(self.num_layers))
        return [self._output, *(self._layer_weights[layer] + self._layer_kv(layer, kv_tokens) for layer in layers)]

    def offloaded_weights(self, num_offloaded: int) -> int:
        """Weights that leave RAM; the copy of tied embeddings does not."""
        return sum(self._layer_weights[self.num_layers + 1 - num_offloaded :]) if num_offloaded > 1 else 0

    def offloaded_kv(self, num_offloaded: int, kv_tokens: int) -> int:
        first = max(0, self.num_layers + 1 - num_offloaded)
        return sum(self._layer_kv(layer, kv_tokens) for layer in range(first, self.num_layers))

    def _layer_kv(self, layer: int, kv_tokens: int) -> int:
        tokens = min(kv_tokens, self._swa_tokens) if self._swa_layers[layer] else kv_tokens
        return self._kv_per_token[layer] * tokens or self._state


def _contexts(trained: int, asked: int | None) -> list[int]:
    """The contexts to try, the wanted one first."""
    if asked is not None:
        return [min(asked, trained) if trained else asked]
    largest = min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    smaller = (size for size in (DEFAULT_CONTEXT // 2, SMALLEST_DEFAULT_CONTEXT) if size < largest)
    return [largest, *smaller]


def _choose_kv_tokens(sizes: _Sizes, memory: Memory, context: int, offloads: bool) -> int:
    """Room for one whole context at least, for WHOLE_CONVERSATIONS at most; in between what is left beside the weights,
    but no more than a quarter of the free memory."""
    least, most = _round_up(context), _round_up(context * min(sizes.slots, WHOLE_CONVERSATIONS))
    free = _usable_vram(sizes, memory, most) if offloads else _usable_ram(memory) - sizes.process
    room = min(free // 4, free - sizes.weights - sizes.compute(most))
    affordable = room // sizes.kv_per_token // _KV_STEP * _KV_STEP if sizes.kv_per_token else most
    return max(least, min(most, affordable))


def _choose_gpu_layers(sizes: _Sizes, memory: Memory, kv_tokens: int, asked: int | None) -> int:
    """As many as fit; the count includes the output layer, as llama.cpp's does."""
    most = sizes.num_layers + 1
    if asked is not None:
        return most if asked < 0 else min(asked, most)
    room = _usable_vram(sizes, memory, kv_tokens)
    for count, cost in enumerate(sizes.offload_costs(kv_tokens)):
        room -= cost
        if room < 0:
            return count
    return most


def _make_plan(sizes: _Sizes, context: int, kv_tokens: int, threads: int, layers: int) -> FitPlan:
    ram = sizes.process + sizes.weights + sizes.kv(kv_tokens) + sizes.compute(kv_tokens)
    vram = 0
    if layers:
        ram += _GPU_PROCESS_BYTES - sizes.offloaded_weights(layers) - sizes.offloaded_kv(layers, kv_tokens)
        vram = sum(sizes.offload_costs(kv_tokens)[:layers]) + sizes.compute(kv_tokens)
    return FitPlan(
        options=EngineOptions(
            context_tokens=context,
            kv_tokens=kv_tokens,
            num_slots=sizes.slots,
            gpu_layers=-1 if layers > sizes.num_layers else layers,
            threads=threads,
        ),
        weights_bytes=sizes.weights,
        kv_bytes=sizes.kv(kv_tokens),
        compute_bytes=sizes.compute(kv_tokens),
        ram_needed=ram,
        vram_needed=vram,
    )


def _usable_ram(memory: Memory) -> int:
    """Free RAM less a little for everybody else on the machine."""
    return max(0, memory.ram_free - min(_MAX_RESERVE_BYTES, memory.ram_total // 32))


def _total_vram(memory: Memory) -> int:
    return sum(gpu.free_bytes for gpu in memory.gpus)


def _usable_vram(sizes: _Sizes, memory: Memory, kv_tokens: int) -> int:
    """Each GPU that is used needs a compute buffer and a margin of its own; one too full for these is not used."""
    overhead = sizes.compute(kv_tokens) + _GPU_MARGIN_BYTES
    return sum(max(0, gpu.free_bytes - overhead) for gpu in memory.gpus)


def _round_up(tokens: int) -> int:
    return -(-tokens // _KV_STEP) * _KV_STEP
