"""What an examination was of: the file, the machine and the library. With another of them its figures say nothing."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from webui.errors import format_bytes
from webui.library.hardware import count_physical_cores, read_memory
from webui.types import Gpu, ModelFile

_PACKAGE = "llama-cpp-python"


def examination_key(model: ModelFile) -> str:
    """32 hex digits. Raises OSError when the file is gone."""
    file = model.path.stat()
    facts = (file.st_size, file.st_mtime_ns, model.size_bytes, _machine_facts(read_memory().gpus), library_name())
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def describe_machine() -> str:
    """Processor, cores and GPUs in words; nothing that names the machine or its owner."""
    gpus = [f"{gpu.name} ({format_bytes(gpu.total_bytes)})" for gpu in read_memory().gpus]
    cores = count_physical_cores()
    return ", ".join([processor_name(), f"{cores} {'core' if cores == 1 else 'cores'}", *gpus])


@cache
def library_name() -> str:
    """Name and version of the library that computes."""
    try:
        return f"{_PACKAGE} {version(_PACKAGE)}"
    except PackageNotFoundError:
        return _PACKAGE


@cache
def processor_name() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "processor"


def count_logical_cpus() -> int:
    """Hardware threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machine_facts(gpus: tuple[Gpu, ...]) -> tuple[object, ...]:
    names = tuple((gpu.name, gpu.total_bytes) for gpu in gpus)
    return platform.machine(), processor_name(), count_physical_cores(), count_logical_cpus(), names
