"""What a model that embeds or ranks will take of RAM and graphics memory, and the engine options that fit.

It is `memory_fit` for the other engine: nothing is kept between two batches, so a batch is all the memory there is. It
loads nothing and does not ask the machine: `memory` is given.
"""

from __future__ import annotations

from dataclasses import replace

from webui.errors import ModelTooBig
from webui.library.fit_plan import DeviceUse, FitPlan
from webui.library.gguf import GgufHeader
from webui.library.hardware import has_gpu_backend
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
    """The plan for this machine, or ModelTooBig with what is needed and what is free."""
    plan = sketch_embedding_fit(header, memory, threads=threads, gpu_layers=gpu_layers, can_offload=can_offload)
    for device in plan.devices:
        if not device.fits:
            raise ModelTooBig(name, device.needed_bytes, device.usable_bytes)
    return plan


def sketch_embedding_fit(
    header: GgufHeader,
    memory: Memory,
    *,
    threads: int,
    gpu_layers: int | None,
    ctx: int | None = None,
    can_offload: bool | None = None,
) -> FitPlan:
    """The same, where what does not fit is a plan too: the smallest one.

    All of the model goes to a GPU where all of it fits and `gpu_layers` is not 0; else it stays in RAM. Of a long
    context as much is taken as there is memory for.
    """
    offloads = bool(memory.gpus) and gpu_layers != 0 and (has_gpu_backend() if can_offload is None else can_offload)
    sizes = ModelSizes(header, "f16", "auto")
    plans = []
    for context in _contexts(header.context_train, ctx):
        for on_gpu in (True, False) if offloads else (False,):
            plans.append(_plan(header, sizes, context, threads, memory, on_gpu=on_gpu))
            if plans[-1].fits:
                return plans[-1]
    return plans[-1]


def _contexts(trained: int, asked: int | None) -> list[int]:
    """The contexts to try, the longest first."""
    context = min(trained or DEFAULT_CONTEXT, asked or DEFAULT_CONTEXT)
    contexts = [context]
    while asked is None and context // 2 >= SMALLEST_DEFAULT_CONTEXT:
        context //= 2
        contexts.append(context)
    return contexts


def _plan(
    header: GgufHeader, sizes: ModelSizes, context: int, threads: int, memory: Memory, *, on_gpu: bool
) -> FitPlan:
    batch = max(context, _MIN_BATCH_TOKENS)
    kv = sizes.kv(KvShape.shared(1, context, batch)) if header.is_causal else 0  # an encoder keeps none
    compute = _compute_bytes(header, batch)
    devices = _devices(memory, sizes, kv, compute, on_gpu=on_gpu)
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
        ram_needed=devices[0].needed_bytes,
        vram_needed=sum(gpu.needed_bytes for gpu in devices[1:]),
        devices=devices,
    )


def _devices(memory: Memory, sizes: ModelSizes, kv: int, compute: int, *, on_gpu: bool) -> tuple[DeviceUse, ...]:
    """The RAM, and the GPU with the most room where the model goes to one."""
    ram = DeviceUse(
        name="RAM",
        total_bytes=memory.ram_total,
        free_bytes=memory.ram_free,
        reserved_bytes=min(_MAX_RESERVE_BYTES, memory.ram_total // 32),
        other_bytes=sizes.process + (_GPU_PROCESS_BYTES if on_gpu else 0),
    )
    gpus = [
        DeviceUse(
            name=gpu.name, total_bytes=gpu.total_bytes, free_bytes=gpu.free_bytes, reserved_bytes=_GPU_MARGIN_BYTES
        )
        for gpu in memory.gpus
    ]
    used = replace(
        max(gpus, key=lambda gpu: gpu.free_bytes) if on_gpu else ram,
        weights_bytes=sizes.weights,
        kv_bytes=kv,
        compute_bytes=compute,
        num_layers=sizes.num_layers,
    )
    if not on_gpu:
        return (used, *gpus)
    place = max(range(len(gpus)), key=lambda index: gpus[index].free_bytes)
    return (ram, *gpus[:place], used, *gpus[place + 1 :])


def _compute_bytes(header: GgufHeader, batch: int) -> int:
    """Activations of the widest layer and the attention mask of what is computed at once; a decoder's logits twice, as
    computed and as handed out, although nobody wants them."""
    is_last = header.pooling_type == _LAST_POOLING
    is_rank = header.pooling_type == _RANK_POOLING and header.architecture.startswith("qwen3")
    piece = min(batch, _PIECE_TOKENS) if header.is_causal and (is_last or is_rank) else batch
    width = 2 * header.feed_forward_length + 6 * header.embedding_length
    logits = 2 * header.vocab_size if header.is_causal else 0
    return piece * ((width + logits) * _FLOAT_BYTES + batch * _MASK_BYTES)
