"""The models of this machine and what is kept about them: `/manage/models`, `/manage/named-presets`, `/manage/ps`.

Loading through these routes is what the page does, too. A model is named by its id, or by anything that a request's
`model` field takes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from webui.api.dependencies import App
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.manage.model_defaults import DefaultsBody, view_defaults
from webui.api.native import LiveModelSummary
from webui.config import LARGEST_CONTEXT
from webui.core.application import Application
from webui.core.disk_use import measure_disk
from webui.core.model_choice import Choice
from webui.core.model_records import RecordChanges
from webui.errors import GlasshouseError, ModelTooBig
from webui.store.model_values import ModelDefaults, ModelPreset
from webui.types import EngineState, KvType, ModelFile

router = APIRouter(prefix="/manage", tags=["Models"])

_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}


class Fit(BaseModel):
    """What loading it in place of the page's model would take now."""

    verdict: Literal["fits", "fits partly", "too big"] = Field(description="partly: not all of it on the GPU")
    ram_bytes: int | None = Field(default=None, description="Once every answer is as long as it can get")
    vram_bytes: int | None = None
    context_tokens: int | None = None
    words: str | None = Field(default=None, description="Why it does not")


class ManagedModel(BaseModel):
    """One file of a model, and what is kept about it."""

    id: str = Field(description="What the `model` field of a request takes")
    name: str = Field(description="The title, or the name made from the file's name")
    title: str | None
    file_name: str
    path: str
    source: str
    size_bytes: int
    architecture: str
    parameters: int
    quantization: str
    context_train: int
    kind: str | None = Field(description="chat, embedding, rerank or adapter; null: nothing that runs here")
    problem: str | None
    can_delete: bool = Field(description="Whether the file is Glasshouse's to rename and delete")
    state: EngineState
    tags: list[str]
    is_favourite: bool
    notes: str
    used_at: float | None = Field(description="Unix seconds of the last load")
    defaults: dict[str, Any]
    presets: list[str] = Field(description="Names of the presets that use it")
    fit: Fit | None = None
    details_url: str = Field(description="Everything that the file itself tells")


class ModelChanges(BaseModel):
    """What is absent stays as it is; null takes a title back."""

    model_config = ConfigDict(extra="forbid")

    title: str | None = None
    file_name: str | None = Field(
        default=None, description="Renames the file, if it is in the models folder and not loaded"
    )
    tags: list[str] | None = None
    is_favourite: bool | None = None
    notes: str | None = None
    defaults: DefaultsBody | None = None


class LoadBody(BaseModel):
    """How to load a model; what is absent is as its defaults and the settings say."""

    model_config = ConfigDict(extra="forbid")

    ctx: Annotated[int, Field(ge=256, le=LARGEST_CONTEXT)] | None = None
    gpu_layers: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    kv_type: KvType | None = None
    beside: bool = Field(default=False, description="Beside the page's model, as a request would, not in its place")
    keep_alive: KeepAlive = KEEP_ALIVE


class PresetBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="The model that it uses")
    defaults: DefaultsBody = Field(default_factory=DefaultsBody)


class NamedPreset(BaseModel):
    """A model and how to use it, under a name that a request's `model` field takes."""

    name: str
    model: str
    defaults: dict[str, Any]
    created_at: float = Field(description="Unix seconds")


class Disk(BaseModel):
    models_dir: str
    own_bytes: int = Field(description="Models in the models folder")
    other_bytes: int = Field(description="Models elsewhere, used where they lie")
    state_bytes: int = Field(description="What chats have read, kept so that they need not read it again")
    free_bytes: int = Field(description="On the disk of the models folder")
    total_bytes: int


@router.get("/models", summary="Every model on this machine")
async def list_managed_models(
    application: App, fit: Annotated[bool, Query(description="Say what each would take; takes a moment")] = False
) -> list[ManagedModel]:
    models = await application.models.models()
    return [await _view(application, application.models.names.choice(model), with_fit=fit) for model in models]


@router.get("/models/{model_id}", summary="One model")
async def get_managed_model(model_id: str, application: App) -> ManagedModel:
    return await _view(application, await application.models.names.find(model_id), with_fit=True)


@router.get(
    "/models/{model_id}/details", summary="What the file tells", response_class=Response, responses=_JSON
)  # fmt: skip
async def get_model_details(model_id: str, application: App) -> Response:
    """Architecture, types of the tensors, tokenizer, chat template, licence, capabilities and more."""
    model = (await application.models.names.find(model_id)).model
    details = await application.catalog.details(model.id)
    return Response(msgspec.json.encode(details, enc_hook=str), media_type="application/json")  # paths are texts


@router.patch("/models/{model_id}", summary="Change what is kept about a model")
async def change_model(model_id: str, body: ModelChanges, application: App) -> ManagedModel:
    """Title, tags, favourite, notes and defaults; the file's own name, too. A chat template is tried first."""
    model = (await application.models.names.find(model_id)).model
    await application.records.update(model, **_changes(body, application.records.of(model).defaults))
    if body.file_name is not None:
        model = await application.models.files.rename(model.id, body.file_name)
    return await _view(application, await application.models.names.find(model.id), with_fit=False)


@router.delete("/models/{model_id}", status_code=204, summary="Delete a model's file")
async def delete_model(model_id: str, application: App) -> None:
    """With what is kept about it. Only files in the models folder are Glasshouse's to delete."""
    await application.models.files.delete(model_id)


@router.post("/models/{model_id}/load", summary="Load a model")
async def load_managed_model(model_id: str, application: App, body: LoadBody | None = None) -> ManagedModel:
    """Answers when it is ready, or says why it is not. It takes the place of the page's model, or comes `beside` it;
    models that embed or rank always do."""
    wanted = body or LoadBody()
    choice = await application.models.names.find(model_id)
    if wanted.beside or choice.model.kind in {"embedding", "rerank"}:
        await application.models.load_beside(model_id, keep_alive=wanted.keep_alive)
    else:
        await application.models.load(
            model_id, ctx=wanted.ctx, gpu_layers=wanted.gpu_layers, kv_type=wanted.kv_type, keep_alive=wanted.keep_alive
        )
    return await _view(application, choice, with_fit=False)


@router.post("/models/{model_id}/unload", summary="Unload a model")
async def unload_managed_model(model_id: str, application: App) -> ManagedModel:
    """Gives its memory back at once; what it was answering ends with an error that says so."""
    await application.models.unload(model_id)
    return await _view(application, await application.models.names.find(model_id), with_fit=False)


@router.get("/ps", summary="The models in memory")
async def list_live_models(application: App) -> list[LiveModelSummary]:
    return [LiveModelSummary.of(each) for each in application.models.alive]


@router.get("/disk", summary="What models take on the disk")
async def get_disk_use(application: App) -> Disk:
    settings = application.settings
    used = await measure_disk(await application.models.models(), settings.models_dir, settings.data_dir)
    return Disk(**msgspec.to_builtins(used))


@router.get("/named-presets", summary="Models with defaults under a name of their own")
async def list_named_presets(application: App) -> list[NamedPreset]:
    return [_view_preset(each) for each in application.records.presets]


@router.put("/named-presets/{name:path}", summary="Keep a preset")
async def put_named_preset(name: str, body: PresetBody, application: App) -> NamedPreset:
    """One of the same name is replaced. `defaults` are over those of the model."""
    preset = ModelPreset(name=name, model_id="", defaults=body.defaults.change(ModelDefaults()))
    return _view_preset(await application.models.files.save_preset(preset, body.model))


@router.delete("/named-presets/{name:path}", status_code=204, summary="Forget a preset")
async def delete_named_preset(name: str, application: App) -> None:
    await application.records.delete_preset(name)


# --- values as JSON --------------------------------------------------------------------------------------------------


def _changes(body: ModelChanges, defaults: ModelDefaults) -> RecordChanges:
    changes = RecordChanges()
    if "title" in body.model_fields_set:
        changes["title"] = body.title
    if body.tags is not None:
        changes["tags"] = tuple(body.tags)
    if body.is_favourite is not None:
        changes["is_favourite"] = body.is_favourite
    if body.notes is not None:
        changes["notes"] = body.notes
    if body.defaults is not None:
        changes["defaults"] = body.defaults.change(defaults)
    return changes


async def _view(application: Application, choice: Choice, *, with_fit: bool) -> ManagedModel:
    model = choice.model
    record = application.records.of(model)
    live = application.models.pool.get(model.id)
    return ManagedModel(
        id=model.id,
        name=model.name,
        title=record.title,
        file_name=model.path.name,
        path=str(model.path),
        source=model.source,
        size_bytes=model.size_bytes,
        architecture=model.architecture,
        parameters=model.num_parameters,
        quantization=model.quantization,
        context_train=model.context_train,
        kind=model.kind,
        problem=model.problem,
        can_delete=model.can_delete,
        state=live.status.state if live is not None else "stopped",
        tags=list(record.tags),
        is_favourite=record.is_favourite,
        notes=record.notes,
        used_at=record.used_at,
        defaults=view_defaults(record.defaults),
        presets=[preset.name for preset in application.records.presets_of(model)],
        fit=await _fit(application, model) if with_fit else None,
        details_url=f"/manage/models/{model.id}/details",
    )


async def _fit(application: Application, model: ModelFile) -> Fit | None:
    """None where nobody can say: an adapter, a broken file."""
    try:
        if model.kind in {"embedding", "rerank"}:
            plan = (await application.models.pool.plan(await application.models.target(model.id), None)).plan
        else:
            plan = await application.models.fit(model.id)
    except ModelTooBig as error:
        return Fit(verdict="too big", words=error.message)
    except GlasshouseError:
        return None
    has_gpu = any(device.name != "RAM" for device in plan.devices)
    is_whole = not has_gpu or plan.options.gpu_layers < 0
    return Fit(
        verdict="fits" if is_whole else "fits partly",
        ram_bytes=plan.ram_needed,
        vram_bytes=plan.vram_needed,
        context_tokens=plan.options.context_tokens,
    )


def _view_preset(preset: ModelPreset) -> NamedPreset:
    return NamedPreset(
        name=preset.name,
        model=preset.model_id,
        defaults=view_defaults(preset.defaults),
        created_at=preset.created_at,
    )
