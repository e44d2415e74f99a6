"""LM Studio's `/api/v1/models*`: what is here, what is loaded, and how to get more.

Its stateful `/api/v1/chat` is not here: `/v1/responses` does the same in OpenAI's words.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from webui.api.dependencies import App
from webui.api.errors import ParameterError
from webui.api.lm_studio import publisher_of
from webui.api.named_models import list_usable
from webui.config import LARGEST_CONTEXT
from webui.core.alive import AliveModel
from webui.core.application import Application
from webui.core.download_job import DownloadJob, DownloadState
from webui.errors import AlreadyHere, UnknownModel
from webui.library.model_card import Capability
from webui.types import ModelFile

_STATES: dict[DownloadState, str] = {
    "queued": "downloading", "running": "downloading", "verifying": "downloading", "paused": "paused",
    "done": "completed", "failed": "failed",
}  # fmt: skip

router = APIRouter(prefix="/api/v1/models", tags=["LM Studio"])


class LoadBody(BaseModel):
    """How a model is loaded; what is left out is as the model's defaults and the memory have it."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=500)
    context_length: Annotated[int, Field(ge=256, le=LARGEST_CONTEXT)] | None = None
    echo_load_config: bool = False


class UnloadBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    instance_id: str = Field(max_length=500)


class DownloadBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="org/repo, or a page of the hub", max_length=2000)
    quantization: str | None = Field(None, description="Such as Q4_K_M", max_length=200)


@router.get("", summary="The models, and what is loaded of them")
async def list_models(application: App) -> dict[str, Any]:
    loaded = {each.model.id: each for each in application.models.alive if each.state == "ready"}
    listed = await list_usable(application)
    abilities = await application.catalog.abilities([model for _, model in listed])
    return {
        "models": [
            _entry(name, model, can, publisher_of(model, application.settings.models_dir))
            | {"loaded_instances": [_instance(loaded[model.id])] if model.id in loaded else []}
            for (name, model), can in zip(listed, abilities, strict=True)
        ]
    }


@router.post("/load", summary="Load a model")
async def load_model(body: LoadBody, application: App) -> dict[str, Any]:
    """Answers when it is ready. With a context of its own it takes the place of the page's model; without one it comes
    beside the others as memory allows."""
    started_at = time.monotonic()
    choice = await application.models.names.find(body.model)
    if body.context_length is None or choice.model.kind != "chat":
        await application.models.load_beside(body.model)
    else:
        await application.models.load(body.model, ctx=body.context_length)
    alive = _find_loaded(application, choice.model.id)
    answer = {
        "type": _type(choice.model),
        "instance_id": choice.model.id,
        "load_time_seconds": round(time.monotonic() - started_at, 3),
        "status": "loaded",
    }
    return answer | ({"load_config": _config(alive)} if body.echo_load_config else {})


@router.post("/unload", summary="Unload a model")
async def unload_model(body: UnloadBody, application: App) -> dict[str, str]:
    """Gives its memory back at once. Raises UnknownModel for one that is not loaded."""
    choice = await application.models.names.find(body.instance_id)
    _find_loaded(application, choice.model.id)
    await application.models.unload(choice.model.id)
    return {"instance_id": body.instance_id}


@router.post("/download", summary="Fetch a model")
async def download_model(body: DownloadBody, application: App) -> dict[str, Any]:
    """From Hugging Face. The same model asked for again is the same job."""
    reference = body.model.strip()
    if body.quantization is not None:
        if ":" in reference.removeprefix("https://").removeprefix("http://"):
            raise ParameterError("quantization", "The model names its quantization already. Leave one of the two out.")
        reference = f"{reference.rstrip('/')}:{body.quantization}"
    try:
        return _job(await application.downloads.start(reference))
    except AlreadyHere:
        return {"status": "already_downloaded"}


@router.get("/download/status", summary="All downloads")
async def list_downloads(application: App) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"downloading": [], "completed": [], "failed": [], "paused": []}
    for job in application.downloads.jobs:
        found[_STATES[job.state]].append(_job(job))
    return found


@router.get("/download/status/{job_id}", summary="One download")
async def get_download(job_id: str, application: App) -> dict[str, Any]:
    return _job(application.downloads.job(job_id))


def _type(model: ModelFile) -> Literal["llm", "embedding"]:
    return "llm" if model.kind == "chat" else "embedding"


def _find_loaded(application: Application, model_id: str) -> AliveModel:
    for alive in application.models.alive:
        if alive.model.id == model_id and alive.state == "ready":
            return alive
    raise UnknownModel(model_id)


def _entry(name: str, model: ModelFile, can: frozenset[Capability], publisher: str) -> dict[str, Any]:
    bits = model.size_bytes * 8 / model.num_parameters if model.num_parameters else None
    entry: dict[str, Any] = {
        "type": _type(model),
        "publisher": publisher,
        "key": name,
        "display_name": model.name,
        "quantization": {"name": model.quantization, "bits_per_weight": round(bits, 2) if bits else None},
        "size_bytes": model.size_bytes,
        "params_string": _count_in_words(model.num_parameters),
        "max_context_length": model.context_train,
        "format": "gguf",
    }
    if model.kind != "chat":
        return entry
    capabilities = {"vision": "vision" in can, "trained_for_tool_use": "tools" in can}
    return entry | {"architecture": model.architecture, "capabilities": capabilities, "description": None}


def _instance(alive: AliveModel) -> dict[str, Any]:
    return {"id": alive.model.id, "config": _config(alive)}


def _config(alive: AliveModel) -> dict[str, Any]:
    return {"context_length": alive.context_tokens}


def _count_in_words(count: int) -> str | None:
    """As people write it: 7B, 135M."""
    for unit, size in (("B", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit if count < 10 * size else f"{count / size:.0f}{unit}"
    return None


def _job(job: DownloadJob) -> dict[str, Any]:
    told: dict[str, Any] = {
        "job_id": job.id,
        "status": _STATES[job.state],
        "total_size_bytes": job.total_bytes,
        "downloaded_bytes": job.done_bytes,
    }
    if _STATES[job.state] == "downloading":
        told["bytes_per_second"] = job.bytes_per_second
        if job.seconds_left is not None:
            told["estimated_completion"] = (datetime.now(UTC) + timedelta(seconds=job.seconds_left)).isoformat()
    return told
