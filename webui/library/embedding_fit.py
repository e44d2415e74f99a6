"""What a model that embeds or ranks will take of RAM and graphics memory, and the engine options that fit.

It is `memory_fit` for the other engine: nothing is kept between two batches, so a batch is all the memory there is. It
loads nothing and does not ask the machine: `memory` is given.
"""

from __future__ import annotations

from webui.errors import ModelTooBig
from webui.library.gguf import GgufHeader
from webui.library.hardware import has_gpu_backend
from webui.library.memory_fit import FitPlan
from webui.library.model_sizes import KvShape, ModelSizes
from webui.types import EngineOptions, Memory

DEFAULT_CONTEXT = 8192  #: the longest text, where the model was trained for more
SMALLEST_DEFAULT_CONTEXT = 512
BATCH_SEQUENCES = 64  #: texts of one batch

_MIN_BATCH_TOKENS = 512  # as the engine's `embedding_runner`
_PIECE_TOKENS = 256
_LAST_POOLING, _RANK_POOLING = 3, 4
_FLOAT_BYTES = 4
_MASK_BYTES = 2  # F16, for each token and each other one of its batch
_GPU_MARGIN_BYTES = 768 << 20
_GPU_PROCESS_BYTES = 400_000_000
_MAX_RESERVE_BYTES = 256 << 20


def plan_embedding_fit(
    header: GgufHeader,
    name: str,
    memory: Memory,
    *,
    threads: int,
    gpu_layers: int | None,
    can_offload: bool | None = None,
) -> FitPlan:
    """The plan for this machine, or ModelTooBig with what is needed and what is free.

    All of the model goes to a GPU where all of it fits and `gpu_layers` is not 0; else it stays in RAM. Of a long
    context as much is taken as there is memory for.
    """
    offloads = bool(memory.gpus) and gpu_layers != 0 and (has_gpu_backend() if can_offload is None else can_offload)
    usable_ram = max(0, memory.ram_free - min(_MAX_RESERVE_BYTES, memory.ram_total // 32))
    most_vram = max((gpu.free_bytes for gpu in memory.gpus), default=0) - _GPU_MARGIN_BYTES
    sizes = ModelSizes(header, "f16", "auto")
    smallest = 0
    for context in _contexts(header.context_train):
        plan = _plan(header, sizes, context, threads, on_gpu=offloads)
        if offloads and (plan.vram_needed > most_vram or plan.ram_needed > usable_ram):
            plan = _plan(header, sizes, context, threads, on_gpu=False)
        if plan.ram_needed <= usable_ram:
            return plan
        smallest = plan.ram_needed
    raise ModelTooBig(name, smallest, usable_ram)


def _contexts(trained: int) -> list[int]:
    """The contexts to try, the longest first."""
    context = min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    contexts = [context]
    while context // 2 >= SMALLEST_DEFAULT_CONTEXT:
        context //= 2
        contexts.append(context)
    return contexts


def _plan(header: GgufHeader, sizes: ModelSizes, context: int, threads: int, *, on_gpu: bool) -> FitPlan:
    batch = max(context, _MIN_BATCH_TOKENS)
    kv = sizes.kv(KvShape.shared(1, context, batch)) if header.is_causal else 0  # an encoder keeps none
    compute = _compute_bytes(header, batch)
    needed = sizes.weights + kv + compute
    return FitPlan(
        options=EngineOptions(
            context_tokens=context,
            kv_tokens=batch,
            num_slots=BATCH_SEQUENCES,
            batch_tokens=batch,
            gpu_layers=-1 if on_gpu else 0,
            threads=threads,
        ),
        weights_bytes=sizes.weights,
        kv_bytes=kv,
        compute_bytes=compute,
        ram_needed=sizes.process + (_GPU_PROCESS_BYTES if on_gpu else needed),
        vram_needed=needed if on_gpu else 0,
    )


def _compute_bytes(header: GgufHeader, batch: int) -> int:
    """Activations of the widest layer and the attention mask of what is computed at once; a decoder's logits twice, as
    computed and as handed out, although nobody wants them."""
    is_last = header.pooling_type == _LAST_POOLING
    is_rank = header.pooling_type == _RANK_POOLING and header.architecture.startswith("qwen3")
    piece = min(batch, _PIECE_TOKENS) if header.is_causal and (is_last or is_rank) else batch
    width = 2 * header.feed_forward_length + 6 * header.embedding_length
    logits = 2 * header.vocab_size if header.is_causal else 0
    return piece * ((width + logits) * _FLOAT_BYTES + batch * _MASK_BYTES)
