"""Which model a request gets when it names none, and what its engine is started with.

It knows the order of choices and what unloading the running engine would give back; the sums of a model's memory are
`library/memory_fit`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import psutil

from webui.config import Settings
from webui.errors import LoadFailed, NoModel
from webui.library.gguf import GgufHeader, ensure_chat_model, read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit
from webui.types import EngineOptions, FlashAttention, KvType, Memory, ModelFile

_log = logging.getLogger(__name__)

MOST_PADDING = 128  #: tokens by which the vocabularies of one family differ: rows without a meaning
STATE_FOLDER = "kv"  #: in the data folder: what chats have read, one folder for each


@dataclass(frozen=True, slots=True)
class Target:
    """A model and how it is wanted; None means that Glasshouse chooses."""

    model: ModelFile
    ctx: int | None = None
    gpu_layers: int | None = None
    kv_type: KvType | None = None
    flash_attention: FlashAttention | None = None
    slots: int | None = None


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
        draft = _read_draft(settings.draft_model, target.model, header)
        fit = plan_fit(header, target.model.name, memory, _wishes(settings, target, draft))
        return replace(fit, options=_with_files(fit.options, settings, has_draft=draft is not None))

    return plan


def _read_draft(path: Path | None, model: ModelFile, header: GgufHeader) -> GgufHeader | None:
    """The draft model's header, where it can guess for this model: not for itself, nor with another vocabulary. That
    of a model's own family may differ by some padding; the engine compares the words."""
    if path is None or path.resolve() == model.path.resolve():
        return None
    try:
        draft = read_header(path)
    except OSError as error:
        raise LoadFailed(model.name, f"its draft model {path} cannot be read ({error.strerror or error})") from error
    if abs(draft.vocab_size - header.vocab_size) <= MOST_PADDING:
        return draft
    _log.warning("The draft model %s has another vocabulary than %s, which does without", path.name, model.name)
    return None


def _wishes(settings: Settings, target: Target, draft: GgufHeader | None) -> Wishes:
    return Wishes(
        ctx=target.ctx,
        slots=target.slots or settings.slots,
        threads=settings.threads or count_physical_cores(),
        gpu_layers=target.gpu_layers,
        kv_layout=settings.kv_layout,
        kv_type=target.kv_type or settings.kv_type,
        flash_attention=target.flash_attention or settings.flash_attention,
        parked_bytes=None if settings.parked_mb is None else settings.parked_mb << 20,
        draft=draft,
    )


def _with_files(options: EngineOptions, settings: Settings, *, has_draft: bool) -> EngineOptions:
    """What an engine finds and leaves on disk."""
    return msgspec.structs.replace(
        options,
        state_dir=str(settings.data_dir / STATE_FOLDER) if settings.state_mb else None,
        state_bytes=settings.state_mb << 20,
        draft_model_path=str(settings.draft_model.resolve()) if has_draft and settings.draft_model else None,
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
