"""Whether a model that is not here would run here, told from its size, or better from its header.

From the size alone it is a rule of thumb; with the header it is `memory_fit`'s plan. It does not ask the machine.
"""

from __future__ import annotations

from webui.errors import format_bytes
from webui.library.fit_plan import Wishes
from webui.library.gguf import GgufHeader
from webui.library.hub.values import FitVerdict
from webui.library.memory_fit import sketch_fit
from webui.types import Memory

# What a model needs at least beside its weights: KV memory for the smallest context that is loaded unasked, compute
# buffers, the process. Set by memory_fit's plan for SmolLM2 135M (0.19 GB beside 0.10 GB of weights) and the KV memory
# of Llama 3.1 8B (2,048 tokens in 32 layers with 8 heads of 128 numbers, keys and values: 0.27 GB beside 4.9 GB).
_KV_SHARE = 0.06
_COMPUTE_SHARE = 0.15
_MOST_COMPUTE_BYTES = 280_000_000
_PROCESS_BYTES = 170_000_000
_GPU_MARGIN_BYTES = 768 << 20  #: on each GPU, as memory_fit leaves it
_RAM_RESERVE_BYTES = 256 << 20


def judge_size(size_bytes: int, memory: Memory, *, can_offload: bool) -> FitVerdict:
    """From the bytes of its files."""
    compute = min(_MOST_COMPUTE_BYTES, round(size_bytes * _COMPUTE_SHARE))
    needed = round(size_bytes * (1 + _KV_SHARE)) + compute + _PROCESS_BYTES
    ram = max(0, memory.ram_free - _RAM_RESERVE_BYTES)
    gpus = memory.gpus if can_offload else ()
    vram = sum(max(0, gpu.free_bytes - _GPU_MARGIN_BYTES) for gpu in gpus)
    if gpus and needed <= vram:
        return _fits(needed, vram, "in the graphics memory", is_exact=False)
    if needed > ram + vram:
        return _too_big(needed, ram + vram, is_exact=False)
    if vram > 0:
        return _partly(needed, ram + vram, vram / needed, is_exact=False)
    return _fits(needed, ram, "", is_exact=False)


def judge_header(header: GgufHeader, name: str, memory: Memory, wishes: Wishes, *, can_offload: bool) -> FitVerdict:
    """From the header: the plan that loading it would make. Raises LoadFailed as `sketch_fit` does."""
    plan = sketch_fit(header, name, memory, wishes, can_offload=can_offload)
    needed = plan.ram_needed + plan.vram_needed
    free = sum(device.usable_bytes for device in plan.devices)
    if not plan.fits:
        return _too_big(needed, free, is_exact=True)
    share = sum(device.num_layers for device in plan.devices[1:]) / max(1, header.num_layers)
    if len(plan.devices) == 1 or not can_offload:
        return _fits(needed, free, "", is_exact=True)
    if share >= 1:
        return _fits(needed, free, "in the graphics memory", is_exact=True)
    return _partly(needed, free, share, is_exact=True)


def _fits(needed: int, free: int, where: str, *, is_exact: bool) -> FitVerdict:
    takes = f"takes {format_bytes(needed)}" if is_exact else f"needs at least {format_bytes(needed)}"
    words = f"Fits{' ' + where if where else ''}: {takes} of {format_bytes(free)} free."
    return FitVerdict(fit="fits", words=words, needed_bytes=needed, free_bytes=free, is_exact=is_exact)


def _partly(needed: int, free: int, share: float, *, is_exact: bool) -> FitVerdict:
    words = (
        f"Fits partly: about {share:.0%} of it in the graphics memory, the rest in RAM, which is slower "
        f"({format_bytes(needed)} of {format_bytes(free)} free)."
    )
    return FitVerdict(fit="partly", words=words, needed_bytes=needed, free_bytes=free, is_exact=is_exact)


def _too_big(needed: int, free: int, *, is_exact: bool) -> FitVerdict:
    about = "" if is_exact else "about "
    words = f"Too big: needs {about}{format_bytes(needed)}, and {format_bytes(free)} are free."
    return FitVerdict(fit="too_big", words=words, needed_bytes=needed, free_bytes=free, is_exact=is_exact)
