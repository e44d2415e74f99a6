"""What callers are told of a model that is in memory: for lists, and for whoever builds a request. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webui.core.live_model import LiveModel
from webui.store.model_values import ModelDefaults
from webui.types import EngineLoad, EngineState, GenerationRequest, LoraAdapter, ModelFile, Value


class AliveModel(Value, frozen=True):
    """One that is in memory now, or on its way there or out."""

    model: ModelFile
    state: EngineState
    is_page: bool  #: the one that answers where nobody names a model
    num_users: int  #: requests that it works on or that wait in its line
    progress: float = 0.0  #: 0..1 while starting
    note: str | None = None  #: what was asked for and could not be had, or a smaller plan that is tried
    memory_bytes: int = 0  #: resident memory of its process
    context_tokens: int | None = None  #: once it is loaded, like the next two
    device: str | None = None
    gpu_layers: int | None = None
    num_slots: int = 0  #: sequences that fit side by side; 0 where the model does not write
    sees: bool = False  #: messages may have images; once it is loaded
    seconds_left: float | None = None  #: until it goes because nobody uses it; None: it is used, or it stays
    load: EngineLoad = EngineLoad()


@dataclass(frozen=True, slots=True)
class Answering:
    """Who is about to answer a request, and how where the request does not say."""

    model: ModelFile
    name: str  #: as the request's `model` field means it: the model's id, or a preset's name
    defaults: ModelDefaults
    adapters: tuple[LoraAdapter, ...] = ()  #: those of the defaults


Ask = Callable[[Answering], GenerationRequest]
Asked = GenerationRequest | Ask  #: a request, or one that depends on who answers it


def describe_alive(live: LiveModel, *, is_page: bool, seconds_left: float | None) -> AliveModel:
    status = live.status
    options = status.info.options if status.info else None
    return AliveModel(
        model=status.model or live.target.model,
        state=status.state,
        is_page=is_page,
        num_users=live.num_users,
        progress=status.progress,
        note=status.note,
        memory_bytes=status.memory_bytes,
        context_tokens=options.context_tokens if options else None,
        device=status.info.device if status.info else None,
        gpu_layers=options.gpu_layers if options else None,
        num_slots=options.num_slots if options and live.target.model.kind == "chat" else 0,
        sees=status.info is not None and status.info.sees,
        seconds_left=seconds_left,
        load=status.load,
    )
