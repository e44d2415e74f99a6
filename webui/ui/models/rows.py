"""A model as a row of the Models page, and how the machine stands: our values as the plain JSON that the browser draws.

Pure functions of values; they ask nobody. The field names are JavaScript's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webui.core.alive import AliveModel
from webui.errors import ModelTooBig, format_bytes
from webui.library.elsewhere import STORE_NAMES
from webui.library.fit_plan import FitPlan
from webui.store.model_values import ModelRecord
from webui.types import DoctorReport, ModelFile, ModelStatus
from webui.ui.model_view import format_tokens, view_status

Json = dict[str, Any]


def view_row(
    model: ModelFile,
    record: ModelRecord,
    *,
    modified_at: float = 0.0,
    capabilities: Iterable[str] = (),
    fit: Json | None = None,
    report: DoctorReport | None = None,
) -> Json:
    """One row: the file, what the person keeps about it, what it can do, whether it fits now (None: nobody knows yet),
    and what an examination found."""
    return {
        "id": model.id,
        "name": model.name,
        "fileName": model.path.name,
        "folder": str(model.path.parent),
        "architecture": model.architecture,
        "parameters": model.num_parameters,
        "quantization": model.quantization,
        "size": model.size_bytes,
        "context": model.context_train,
        "kind": model.kind,
        "problem": model.problem,
        "place": place_words(model),
        "isReadOnly": model.source != "local",
        "canDelete": model.can_delete,
        "isLoadable": model.problem is None and model.kind != "adapter",
        "capabilities": list(capabilities),
        "isFavourite": record.is_favourite,
        "tags": list(record.tags),
        "notes": record.notes,
        "usedAt": record.used_at or 0,
        "modifiedAt": modified_at,
        "fit": fit,
        "health": {"state": report.state, "words": report.summary} if report else None,
    }


def place_words(model: ModelFile) -> str:
    """Where a model lies, where that is not the models folder: another program's, or the name of a further folder."""
    if model.source == "local":
        return ""
    if model.source == "starter":
        return "starter"
    return model.path.parent.name if model.source == "folder" else STORE_NAMES[model.source]


def view_fit(plan: FitPlan | ModelTooBig | None) -> Json | None:
    """Fits, fits partly (the processor does some of the layers), too big; None where nobody can say."""
    if plan is None:
        return None
    if isinstance(plan, ModelTooBig):
        needed, free = (int(plan.details[name] or 0) for name in ("needed_bytes", "free_bytes"))
        title = f"It needs {format_bytes(needed)}; {format_bytes(free)} are free"
        return {"kind": "too_big", "words": "too big", "title": title}
    on_gpu = sum(device.num_layers for device in plan.devices[1:])
    all_layers = sum(device.num_layers for device in plan.devices)
    needed_words = format_bytes(plan.ram_needed + plan.vram_needed)
    if 0 < on_gpu < all_layers:
        title = f"{on_gpu} of {all_layers} layers fit the GPU, the processor does the rest; {needed_words} in all"
        return {"kind": "partly", "words": f"{on_gpu}/{all_layers} layers", "title": title}
    return {"kind": "fits", "words": "fits", "title": f"It needs up to {needed_words} of the memory that is free now"}


def view_running(page: ModelStatus, alive: Iterable[AliveModel]) -> list[Json]:
    """Every model that is in memory or on its way there, and the page's model if it has just failed."""
    shown = [view_alive(each) for each in alive if page.model is None or each.model.id != page.model.id]
    return [view_status(page), *shown] if page.model is not None else shown


def view_alive(alive: AliveModel) -> Json:
    """One that answers where a request names it."""
    words = [f"Running on {alive.device}"] if alive.device else []
    if alive.context_tokens:
        words.append(f"{format_tokens(alive.context_tokens)} context")
    if alive.note:
        words.append(alive.note)
    if alive.seconds_left is not None:
        words.append(f"unused, goes in {format_seconds(alive.seconds_left)}")
    return {
        "state": alive.state,
        "id": alive.model.id,
        "name": alive.model.name,
        "progress": alive.progress,
        "error": None,
        "memory": alive.memory_bytes,
        "text": " · ".join(words),
    }


def format_seconds(seconds: float) -> str:
    """Whole minutes where there are some: "40 s", "5 min"."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{max(1, round(seconds))} s"
