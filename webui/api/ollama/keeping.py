"""Making, copying and deleting models: `/api/create`, `/api/copy` and `/api/delete`.

A model made from another one is a preset: a name, a system prompt and parameters over the same file. One made from a
blob is that file under a name.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from webui.api.dependencies import App
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.ndjson import MEDIA_TYPE, line
from webui.api.ollama.names import plain_name
from webui.api.ollama.options import Options
from webui.core.application import Application
from webui.core.model_choice import Choice
from webui.store.model_values import ModelDefaults, ModelPreset

router = APIRouter()

_LABELS = frozenset({"license", "info"})
_CREATED = ({"status": "writing manifest"}, {"status": "success"})


class CreateRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str = ""
    name: str = Field("", description="The older word for `model`")
    from_: Annotated[str | None, Field(alias="from", description="The model that the new one uses")] = None
    files: dict[str, str] | None = Field(None, description="One GGUF: its file name, and the digest of its blob")
    system: str | None = None
    parameters: Options | None = Field(None, description="As `options` of a request")
    stream: bool | None = None

    def refuse_unknown(self) -> None:
        if self.parameters is not None:
            self.parameters.refuse_unknown()
        for name, value in (self.model_extra or {}).items():
            if name in _LABELS or value in (None, "", [], {}):
                continue
            reason = {
                "template": "Templates here are Jinja, not Go's: set one among the model's defaults.",
                "quantize": "Quantize with POST /manage/jobs, which tells the size first and can be cancelled.",
                "adapters": "Put adapters into the models folder, and name them in the model's defaults.",
                "modelfile": "Send its parts: from or files, system, parameters.",
            }.get(name, f"“{name}” is not known here. Leave it out.")
            raise UnsupportedParameter(name, reason)


class CopyRequest(BaseModel):
    source: str
    destination: str


class DeleteRequest(BaseModel):
    model: str = ""
    name: str = Field("", description="The older word for `model`")


@router.post("/create", summary="Make a model from another one or from a blob", response_class=JSONResponse)
async def create(body: CreateRequest, application: App) -> Response:
    body.refuse_unknown()
    name = plain_name(body.model or body.name)
    if bool(body.from_) == bool(body.files):
        raise ParameterError("from", "Say what the model is made of: either “from”, a model, or “files”, one GGUF.")
    base = await _publish(name, body.files, application) if body.files else plain_name(body.from_ or "")
    choice = await application.models.names.find(base)
    defaults = _defaults(body)
    if body.from_:
        await _save_preset(name, choice, defaults, application)
    elif defaults != ModelDefaults():
        await application.records.update(choice.model, defaults=defaults.over(choice.defaults))
    if body.stream is False:
        return JSONResponse(_CREATED[-1])
    return StreamingResponse(iter([line(record) for record in _CREATED]), media_type=MEDIA_TYPE)


@router.post("/copy", summary="Give a model a second name")
async def copy(body: CopyRequest, application: App) -> Response:
    """The copy is a preset: it takes no room on the disk."""
    choice = await application.models.names.find(plain_name(body.source))
    await _save_preset(plain_name(body.destination), choice, ModelDefaults(), application)
    return Response()


@router.delete("/delete", summary="Delete a model or a preset")
async def delete(body: DeleteRequest, application: App) -> Response:
    """A model's file goes only where it is Glasshouse's own."""
    name = plain_name(body.model or body.name)
    choice = await application.models.names.find(name)
    if choice.preset is not None:
        await application.records.delete_preset(choice.preset.name)
    else:
        await application.models.files.delete(choice.model.id)
    return Response()


async def _save_preset(name: str, choice: Choice, defaults: ModelDefaults, application: Application) -> None:
    """Made from a preset, it has that one's defaults beneath its own."""
    if choice.preset is not None:
        defaults = defaults.over(choice.preset.defaults)
    preset = ModelPreset(name=name, model_id=choice.model.id, defaults=defaults)
    await application.models.files.save_preset(preset, choice.model.id)


def _defaults(body: CreateRequest) -> ModelDefaults:
    if body.parameters is None:
        return ModelDefaults(system_prompt=body.system or None)
    context = (body.parameters.model_extra or {}).get("num_ctx")
    params = body.parameters.to_params(None)
    has_sampling = bool(body.parameters.model_fields_set - {"num_ctx"})
    return ModelDefaults(
        system_prompt=body.system or None,
        sampling=structs.replace(params, logprobs=None, grammar=None) if has_sampling else None,
        ctx=context if isinstance(context, int) else None,
    )


async def _publish(name: str, files: dict[str, str], application: Application) -> str:
    """The new file's path."""
    if len(files) != 1:
        raise ParameterError("files", "A model is made of one GGUF file here. Join the parts of a split one first.")
    [digest] = files.values()
    path = await asyncio.to_thread(application.blobs.publish, digest, f"{name.replace(':', '-')}.gguf")
    application.models.catalog_changed.emit(None)
    return str(path)
