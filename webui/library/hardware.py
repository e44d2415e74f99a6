"""What this machine has: memory, graphics memory, cores, and whether the installed engine can use a GPU.

Every call asks afresh and is cheap (well under a millisecond without a GPU). It does not know models or what they need.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import psutil
import pynvml

from webui.library.cgroup import read_cpu_limit, read_memory_limit
from webui.types import Gpu, Memory

# llama-cpp-python's usual wheel has the CPU library only; these are the ones that reach a GPU.
_GPU_BACKENDS = ("cuda", "vulkan", "hip", "musa", "metal", "sycl", "opencl", "cann")


def read_memory() -> Memory:
    """RAM (within a control group's limit) and the memory of every visible NVIDIA GPU."""
    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    group = read_memory_limit()
    if group is not None:
        total, free = min(total, group.limit), min(free, group.free)
    return Memory(ram_total=total, ram_free=free, gpus=_read_gpus())


def count_physical_cores() -> int:
    """Physical cores that this process may use: affinity and a control group's quota counted, at least 1.

    Hyper-threads are left out, because a second thread on one core does not speed up matrix products.
    """
    usable = _count_usable_threads()
    threads = psutil.cpu_count(logical=True) or usable
    cores = _physical_cores(usable, threads)
    quota = read_cpu_limit()
    return max(1, cores if quota is None else min(cores, int(quota)))


def has_gpu_backend() -> bool:
    """Whether the installed llama.cpp was built for a GPU, told from its libraries without loading them."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return False
    libraries = Path(spec.origin).parent / "lib"
    return any(any(libraries.glob(f"*ggml-{name}*")) for name in _GPU_BACKENDS)


def _count_usable_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _physical_cores(usable: int, threads: int) -> int:
    """Linux tells which threads share a core; elsewhere the machine's own ratio stands in."""
    if hasattr(os, "sched_getaffinity"):
        siblings = {_thread_siblings(cpu) for cpu in os.sched_getaffinity(0)}
        if "" not in siblings:
            return len(siblings)
    physical = psutil.cpu_count(logical=False) or threads
    return max(1, usable * physical // max(1, threads))


def _thread_siblings(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return ""


def _read_gpus() -> tuple[Gpu, ...]:
    """NVML stays initialised between calls (a second init only counts up): the first costs 20 ms or more."""
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return ()
    gpus = (_read_gpu(index, handle) for index, handle in enumerate(handles))
    return tuple(gpu for gpu in gpus if gpu is not None)


def _read_gpu(index: int, handle: object) -> Gpu | None:
    """None for a GPU that is hidden from this process, or one that does not tell its memory."""
    try:
        if not _is_visible(index, _text(pynvml.nvmlDeviceGetUUID(handle))):
            return None
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        name = _text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError:
        return None
    return Gpu(name=name, total_bytes=int(memory.total), free_bytes=int(memory.free))


def _is_visible(index: int, uuid: str) -> bool:
    """CUDA_VISIBLE_DEVICES by number or by (a beginning of) a UUID; the engine inherits the same variable."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return True
    words = [word.strip() for word in visible.split(",")]
    return any(word == str(index) or (word.startswith("GPU-") and uuid.startswith(word)) for word in words)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
