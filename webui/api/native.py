"""Glasshouse's own words: what does the model do, load and unload one."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from webui import __version__
from webui.api.dependencies import App
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.config import LARGEST_CONTEXT
from webui.core.alive import AliveModel
from webui.core.application import Application
from webui.types import EngineState, Memory, ModelStatus

router = APIRouter(tags=["Glasshouse"])


class ModelSummary(BaseModel):
    id: str = Field(description="What the `model` field of a request takes")
    name: str
    size_bytes: int
    context_tokens: int | None = Field(description="The longest conversation, once it is loaded")
    device: str | None = Field(description="CPU, or the GPU that holds the offloaded layers; once it is loaded")
    gpu_layers: int | None


class RamUse(BaseModel):
    total_bytes: int
    free_bytes: int
    engine_bytes: int = Field(description="Resident memory of the engine process")


class GpuUse(BaseModel):
    name: str
    total_bytes: int
    free_bytes: int


class Queue(BaseModel):
    num_running: int = Field(description="Answers that are being written")
    num_waiting: int = Field(description="Requests that wait for their turn")
    tokens_per_second: float = Field(description="All answers together, over the last second")
    kv_used: int = Field(description="Tokens in the KV memory")
    kv_total: int


class EmbeddingModelSummary(BaseModel):
    """A model that embeds or ranks, loaded on demand beside the chat model."""

    id: str
    name: str
    kind: str = Field(description="embedding or rerank")
    engine_bytes: int = Field(description="Resident memory of its engine process")


class LiveModelSummary(BaseModel):
    """A model in memory, or on its way there or out."""

    id: str
    name: str
    kind: str = Field(description="chat, embedding or rerank")
    state: EngineState
    is_page: bool = Field(description="Whether it answers where a request names no model")
    engine_bytes: int = Field(description="Resident memory of its engine process")
    context_tokens: int | None
    device: str | None
    gpu_layers: int | None
    num_running: int = Field(description="Answers that are being written")
    num_waiting: int
    seconds_left: float | None = Field(description="Until it goes because nobody uses it; null: it is used, or stays")
    note: str | None

    @classmethod
    def of(cls, alive: AliveModel) -> LiveModelSummary:
        return cls(
            id=alive.model.id,
            name=alive.model.name,
            kind=alive.model.kind or "",
            state=alive.state,
            is_page=alive.is_page,
            engine_bytes=alive.memory_bytes,
            context_tokens=alive.context_tokens,
            device=alive.device,
            gpu_layers=alive.gpu_layers,
            num_running=alive.load.num_running,
            num_waiting=alive.load.num_waiting,
            seconds_left=alive.seconds_left,
            note=alive.note,
        )


class Status(BaseModel):
    """What the page's model does right now, which others are in memory, and what the machine has left."""

    version: str
    state: EngineState
    progress: float = Field(description="0 to 1 while a model starts")
    error: str | None = Field(description="Why the last load failed, or the engine ended")
    note: str | None = Field(description="What the settings ask for and this model cannot have, such as a context")
    memory_warning: str | None = Field(
        description="A sentence while memory runs low or the machine swaps, with what to do"
    )
    model: ModelSummary | None
    ram: RamUse
    vram: list[GpuUse] = Field(description="One entry for each NVIDIA GPU; empty: CPU only")
    queue: Queue
    models: list[LiveModelSummary] = Field(description="Every model in memory, the page's included")
    embedding_models: list[EmbeddingModelSummary] = Field(description="Those in memory; they go when idle")


class LoadRequest(BaseModel):
    model: str = Field(description="A model's id, file name or path", examples=["SmolLM2-135M-Instruct.Q4_1"])
    ctx: int | None = Field(
        None, ge=256, le=LARGEST_CONTEXT, description="Context in tokens; default: what the settings say"
    )
    gpu_layers: int | None = Field(
        None, ge=-1, le=2**31 - 1, description="Layers on the GPU; -1: all; default: as many as fit"
    )
    keep_alive: KeepAlive = KEEP_ALIVE


@router.get("/status", summary="What the model does")
async def get_status(application: App) -> Status:
    return _status(application)


@router.post("/load_model", summary="Load a model")
async def load_model(body: LoadRequest, application: App) -> Status:
    """Answers when the model is ready, or says why it is not. It takes the place of the page's model."""
    await application.models.load(body.model, ctx=body.ctx, gpu_layers=body.gpu_layers, keep_alive=body.keep_alive)
    return _status(application)


@router.post("/unload_model", summary="Unload every model")
async def unload_model(application: App) -> Status:
    """Ends every engine process, also those that embed and rank: all of their memory is free afterwards."""
    await application.models.unload_all()
    return _status(application)


def model_summary(now: ModelStatus) -> ModelSummary | None:
    """The page's model; None where there is none."""
    if now.model is None:
        return None
    options = now.info.options if now.info else None
    return ModelSummary(
        id=now.model.id,
        name=now.model.name,
        size_bytes=now.model.size_bytes,
        context_tokens=options.context_tokens if options else None,
        device=now.info.device if now.info else None,
        gpu_layers=options.gpu_layers if options else None,
    )


def _status(application: Application) -> Status:
    now = application.models.status
    memory: Memory = application.models.memory()
    warning = application.memory_watch.warning
    return Status(
        version=__version__,
        state=now.state,
        progress=now.progress,
        error=now.error,
        note=now.note,
        memory_warning=warning.text if warning else None,
        model=model_summary(now),
        ram=RamUse(total_bytes=memory.ram_total, free_bytes=memory.ram_free, engine_bytes=now.memory_bytes),
        vram=[GpuUse(name=gpu.name, total_bytes=gpu.total_bytes, free_bytes=gpu.free_bytes) for gpu in memory.gpus],
        queue=Queue(
            num_running=now.load.num_running,
            num_waiting=now.load.num_waiting,
            tokens_per_second=now.load.tokens_per_second,
            kv_used=now.load.kv_used,
            kv_total=now.load.kv_total,
        ),
        models=[LiveModelSummary.of(each) for each in application.models.alive],
        embedding_models=[
            EmbeddingModelSummary(
                id=each.model.id, name=each.model.name, kind=each.model.kind or "", engine_bytes=each.memory_bytes
            )
            for each in application.embedding_models.loaded
        ],
    )
