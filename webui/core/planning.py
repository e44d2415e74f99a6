"""Which model a request gets when it names none, and what its engine is started with.

It knows the order of choices and what unloading the running engine would give back; the sums of a model's memory are
`library/memory_fit`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import psutil

from webui.config import Settings
from webui.errors import LoadFailed, NoModel
from webui.library.gguf import ensure_chat_model, read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit
from webui.types import EngineOptions, Memory, ModelFile

STATE_FOLDER = "kv"  #: in the data folder: what chats have read, one folder for each


@dataclass(frozen=True, slots=True)
class Target:
    """A model and how it is wanted; None means that Glasshouse chooses."""

    model: ModelFile
    ctx: int | None = None
    gpu_layers: int | None = None


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the running engine holds: its process and the plan that it was started with."""

    pid: int | None
    plan: FitPlan


Planner = Callable[[Target, Footprint | None], FitPlan]


def choose_default(models: list[ModelFile]) -> ModelFile:
    """The model for somebody who never chose: the only one of their own, else the starter model."""
    usable = [model for model in models if model.problem is None and model.is_chat]
    own = [model for model in usable if model.source != "starter"]
    starter = [model for model in usable if model.source == "starter"]
    if len(own) == 1:
        return own[0]
    if starter:
        return starter[0]
    raise NoModel


def create_planner(settings: Settings) -> Planner:
    """A planner for this machine. It reads the file's header, so it belongs into a thread.

    It raises what `read_header`, `ensure_chat_model` and `plan_fit` raise, and LoadFailed for a file that the catalog
    called unusable.
    """

    def plan(target: Target, running: Footprint | None) -> FitPlan:
        header = read_header(target.model.path)
        if target.model.problem is not None:
            raise LoadFailed(target.model.name, target.model.problem)
        ensure_chat_model(header, target.model.name)
        memory = read_memory()
        if running is not None:
            memory = memory_without(memory, running)
        fit = plan_fit(header, target.model.name, memory, _wishes(settings, target))
        return replace(fit, options=_with_files(fit.options, settings))

    return plan


def _wishes(settings: Settings, target: Target) -> Wishes:
    return Wishes(
        ctx=target.ctx,
        slots=settings.slots,
        threads=settings.threads or count_physical_cores(),
        gpu_layers=target.gpu_layers,
        kv_layout=settings.kv_layout,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
        parked_bytes=None if settings.parked_mb is None else settings.parked_mb << 20,
        draft=None if settings.draft_model is None else read_header(settings.draft_model),
    )


def _with_files(options: EngineOptions, settings: Settings) -> EngineOptions:
    """What an engine finds and leaves on disk."""
    return msgspec.structs.replace(
        options,
        state_dir=str(settings.data_dir / STATE_FOLDER) if settings.state_mb else None,
        state_bytes=settings.state_mb << 20,
        draft_model_path=None if settings.draft_model is None else str(settings.draft_model.resolve()),
        speculate=settings.speculate,
    )


def memory_without(memory: Memory, running: Footprint) -> Memory:
    """The memory as it will be once the running engine is gone.

    Of RAM only what the process holds alone counts: the weights that it maps from the file are page cache, which the
    system counts as available already. VRAM comes back as the plan took it, shared out evenly over the GPUs.
    """
    ram_free = min(memory.ram_total, memory.ram_free + _private_bytes(running.pid))
    if not memory.gpus or not running.plan.vram_needed:
        return msgspec.structs.replace(memory, ram_free=ram_free)
    share = running.plan.vram_needed // len(memory.gpus)
    gpus = tuple(
        msgspec.structs.replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + share)) for gpu in memory.gpus
    )
    return msgspec.structs.replace(memory, ram_free=ram_free, gpus=gpus)


def _private_bytes(pid: int | None) -> int:
    if pid is None:
        return 0
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return max(0, info.rss - getattr(info, "shared", 0))  # not every system tells what is shared
