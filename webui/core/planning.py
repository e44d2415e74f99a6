"""Which model a request gets when it names none, and what its engine is started with.

It knows the order of choices; the sums of a model's memory are `library/memory_fit`'s and `embedding_fit`'s, and what
is free beside other models is `neighbours`'.
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
from webui.errors import LoadFailed, ModelTooBig, NoModel
from webui.library.embedding_fit import plan_embedding_fit
from webui.library.fit_ladder import FitStep, ladder
from webui.library.gguf import GgufHeader, ensure_chat_model, read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan, Wishes, plan_fit
from webui.library.projector_fit import Projector, find_projector
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


def create_planner(settings: Settings, measure: Callable[[], Memory] | None = None) -> Planner:
    """A planner for this machine, or for what `measure` tells of one. It reads the file's header, so it belongs into a
    thread.

    It raises what `read_needs` and `plan_fit` raise.
    """

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        needs = read_needs(settings, target)
        return needs.plan(memory_beside((measure or read_memory)(), neighbours))

    return plan


def create_ladder(
    settings: Settings, measure: Callable[[], Memory] | None = None
) -> Callable[[Target, FitPlan], list[FitStep]]:
    """Smaller plans for a load that failed, the gentlest first. Reads the file's header; raises as a planner does."""

    def steps(target: Target, failed: FitPlan) -> list[FitStep]:
        needs = read_needs(settings, target)
        return [
            FitStep(step.words, needs.finish(step.plan))
            for step in ladder(failed, needs.header, target.model.name, (measure or read_memory)(), needs.wishes)
        ]

    return steps


@dataclass(frozen=True, slots=True)
class Needs:
    """A model's header, and how its engine is wanted; what it would take is reckoned from these alone."""

    target: Target
    header: GgufHeader
    wishes: Wishes
    settings: Settings
    draft_path: Path | None
    projector: Projector | None = None  #: None: it does not see

    @property
    def is_chat(self) -> bool:
        return self.target.model.kind not in {"embedding", "rerank"}

    def plan(self, memory: Memory) -> FitPlan:
        """Raises ModelTooBig, or LoadFailed for a KV type that the model cannot have."""
        name, wishes = self.target.model.name, self.wishes
        if not self.is_chat:
            return plan_embedding_fit(self.header, name, memory, threads=wishes.threads, gpu_layers=wishes.gpu_layers)
        try:
            return self.finish(plan_fit(self.header, name, memory, wishes))
        except ModelTooBig:
            if self.projector is None:
                raise
        _log.warning("There is no room for the projector of %s, which does without sight", name)
        return replace(self, projector=None, wishes=replace(wishes, projector_bytes=0)).plan(memory)

    def finish(self, plan: FitPlan) -> FitPlan:
        """With what an engine is told beside its memory."""
        options = msgspec.structs.replace(
            _with_files(plan.options, self.settings, self.draft_path),
            chat_template=self.target.chat_template,
            mmproj_path=str(self.projector.path.resolve()) if self.projector is not None else None,
        )
        return replace(plan, options=options)


def read_needs(settings: Settings, target: Target) -> Needs:
    """Reads the header of the file, so it belongs into a thread. Raises what `read_header` and `ensure_chat_model`
    raise, and LoadFailed for a file that the catalog called unusable."""
    header = read_header(target.model.path)
    if target.model.problem is not None:
        raise LoadFailed(target.model.name, target.model.problem)
    draft = draft_path = projector = None
    if target.model.kind not in {"embedding", "rerank"}:
        ensure_chat_model(header, target.model.name)
        draft_path = _find_draft(settings, target)
        draft = _read_draft(draft_path, target.model, header)
        projector = find_projector(target.model.path, header) if settings.vision else None
    wishes = replace(
        _wishes(settings, target, draft), projector_bytes=projector.num_bytes if projector is not None else 0
    )
    return Needs(target, header, wishes, settings, draft_path if draft is not None else None, projector)


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
        gpu_layers=settings.gpu_layers if target.gpu_layers is None else target.gpu_layers,
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
