"""What the page says about models: our values as the plain JSON that the model panel's component draws.

Pure functions of values; they ask nobody. The field names are JavaScript's.
"""

from __future__ import annotations

from typing import Any

from webui.core.memory_watch import MemoryWarning
from webui.errors import ModelTooBig, format_bytes
from webui.library.memory_fit import FitPlan
from webui.types import Memory, ModelFile, ModelStatus

Json = dict[str, Any]


def view_model(model: ModelFile, fit: FitPlan | ModelTooBig | None = None) -> Json:
    """One card. `fit` is what loading it now would take, or the refusal; None where nobody can say."""
    return {
        "id": model.id,
        "name": model.name,
        "fileName": model.path.name,
        "architecture": model.architecture,
        "parameters": model.num_parameters,
        "quantization": model.quantization,
        "size": model.size_bytes,
        "context": model.context_train,
        "source": model.source,
        "problem": model.problem,
        "kind": model.kind,
        "canDelete": model.can_delete,
        "fit": _view_fit(fit),
    }


def _view_fit(fit: FitPlan | ModelTooBig | None) -> Json | None:
    if fit is None:
        return None
    if isinstance(fit, ModelTooBig):
        return {"isTooBig": True, "needed": fit.details["needed_bytes"], "free": fit.details["free_bytes"]}
    return {"isTooBig": False, "needed": fit.ram_needed + fit.vram_needed, "free": 0}


def view_status(status: ModelStatus) -> Json:
    """The status line and the loading card."""
    return {
        "state": status.state,
        "id": status.model.id if status.model else None,
        "name": status.model.name if status.model else None,
        "progress": status.progress,
        "error": status.error,
        "memory": status.memory_bytes,
        "text": _running_words(status),
    }


def _running_words(status: ModelStatus) -> str:
    if status.info is None:
        return status.note or ""  # a smaller plan that is tried
    parts = [f"Running on {status.info.device}"]
    parts.append(status.note or f"{format_tokens(status.info.options.context_tokens)} context")
    if not status.info.has_chat_template:
        parts.append("its file has no usable chat template, so ChatML stands in")
    return " · ".join(parts)


def view_memory(memory: Memory) -> Json:
    return {
        "ramTotal": memory.ram_total,
        "ramFree": memory.ram_free,
        "gpus": [{"name": gpu.name, "total": gpu.total_bytes, "free": gpu.free_bytes} for gpu in memory.gpus],
    }


def view_warning(warning: MemoryWarning | None) -> Json | None:
    """The quiet line above everything while the machine's memory runs low."""
    return {"level": warning.level, "text": warning.text} if warning else None


def device_words(memory: Memory, *, has_gpu_backend: bool) -> str:
    """Why the processor does all the work, or nothing where a GPU helps."""
    if not memory.gpus:
        return "CPU only · no NVIDIA GPU found"
    return "" if has_gpu_backend else "CPU only · this llama.cpp was built without GPU support"


def plan_words(plan: FitPlan | ModelTooBig, memory: Memory) -> str:
    """What loading with the chosen options takes once every chat is as long as it can get, in one line."""
    if isinstance(plan, ModelTooBig):
        return str(plan)
    parts = [f"{format_bytes(plan.ram_needed)} of memory ({format_bytes(memory.ram_free)} free)"]
    if plan.vram_needed:
        free = sum(gpu.free_bytes for gpu in memory.gpus)
        parts.append(f"{format_bytes(plan.vram_needed)} of VRAM ({format_bytes(free)} free)")
    return f"{format_tokens(plan.options.context_tokens)} context · needs up to {' and '.join(parts)}"


def format_tokens(count: int) -> str:
    """Binary thousands where they are round: 8k, 128k; else 1,500. The same words as static/lib/format.js."""
    return f"{count // 1024}k" if count >= 1024 and count % 1024 == 0 else f"{count:,}"
