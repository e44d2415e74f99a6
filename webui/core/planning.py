"""Which model a request gets when it names none, and what its engine is started with.

It knows the order of choices; the sums of a model's memory are `library/memory_fit`'s and `embedding_fit`'s, and what is
free beside other models is `neighbours`'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from webui.config import Settings
from webui.core.neighbours import Neighbours, memory_beside
from webui.errors import LoadFailed, NoModel
from webui.library.embedding_fit import plan_embedding_fit
from webui.library.gguf import GgufHeader, ensure_chat_model, read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit
from webui.types import EngineOptions, FlashAttention, KvType, ModelFile

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
    chat_template: str | None = None  #: None: the file's own
    draft_model: Path | Literal["none"] | None = None


Planner = Callable[[Target, Neighbours], FitPlan]


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

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        header = read_header(target.model.path)
        if target.model.problem is not None:
            raise LoadFailed(target.model.name, target.model.problem)
        memory = memory_beside(read_memory(), neighbours)
        threads = settings.threads or count_physical_cores()
        if target.model.kind in {"embedding", "rerank"}:
            gpu_layers = settings.gpu_layers if target.gpu_layers is None else target.gpu_layers
            return plan_embedding_fit(header, target.model.name, memory, threads=threads, gpu_layers=gpu_layers)
        ensure_chat_model(header, target.model.name)
        draft_path = _find_draft(settings, target)
        draft = _read_draft(draft_path, target.model, header)
        fit = plan_fit(header, target.model.name, memory, _wishes(settings, target, draft))
        options = _with_files(fit.options, settings, draft_path if draft is not None else None)
        return replace(fit, options=msgspec.structs.replace(options, chat_template=target.chat_template))

    return plan


def _find_draft(settings: Settings, target: Target) -> Path | None:
    if target.draft_model is None:
        return settings.draft_model
    return target.draft_model if isinstance(target.draft_model, Path) else None


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


def _with_files(options: EngineOptions, settings: Settings, draft_model: Path | None) -> EngineOptions:
    """What an engine finds and leaves on disk."""
    return msgspec.structs.replace(
        options,
        state_dir=str(settings.data_dir / STATE_FOLDER) if settings.state_mb else None,
        state_bytes=settings.state_mb << 20,
        draft_model_path=str(draft_model.resolve()) if draft_model is not None else None,
        speculate=settings.speculate,
    )
