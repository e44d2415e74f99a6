"""LoRA adapters on the wire: the field `lora` of a request, and the list of what it may name.

The shape is llama.cpp's; only the ids are ours: words from the catalog instead of numbers, which would change with the
files.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field, model_validator

from webui.api.dependencies import App
from webui.core.adapters import MAX_SCALE, AdapterChoice
from webui.core.application import Application
from webui.errors import NoModel
from webui.store.model_values import AdapterSetting
from webui.types import ModelFile

router = APIRouter(tags=["Native"])


class LoraChoice(BaseModel):
    """One adapter of a request."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(None, min_length=1, max_length=500, description="An id of GET /lora-adapters")
    name: str | None = Field(None, min_length=1, max_length=500, description="In place of the id: a name or file name")
    scale: float = Field(
        1.0, ge=-MAX_SCALE, le=MAX_SCALE, allow_inf_nan=False, description="1 as trained, 0 not at all"
    )

    @model_validator(mode="after")
    def _is_named(self) -> LoraChoice:
        if (self.id is None) == (self.name is None):
            raise ValueError("give each adapter either an id or a name")
        return self

    def to_choice(self) -> AdapterChoice:
        return AdapterChoice(self.id or self.name or "", self.scale)


class AdapterObject(BaseModel):
    id: str
    name: str
    architecture: str = Field(description="Of the models that it goes with; their size must be the same, too")
    size_bytes: int
    scale: float = Field(description="With which it acts on the page's model where a request says nothing")


class AdapterScale(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=500)
    scale: float = Field(ge=-MAX_SCALE, le=MAX_SCALE, allow_inf_nan=False)


@router.get("/lora-adapters", summary="The LoRA adapters that a request can name in `lora`")
async def list_adapters(application: App) -> list[AdapterObject]:
    page = _page_model(application)
    kept = application.records.of(page).defaults.adapters if page is not None else ()
    scales = {each.name: each.scale for each in kept}
    return [
        AdapterObject(
            id=each.id,
            name=each.name,
            architecture=each.architecture,
            size_bytes=each.size_bytes,
            scale=scales.get(each.id, 0.0),
        )
        for each in await application.models.models()
        if each.kind == "adapter"
    ]


@router.post("/lora-adapters", summary="How strongly adapters act where a request says nothing")
async def set_scales(
    body: Annotated[list[AdapterScale], Field(max_length=64)], application: App
) -> list[AdapterObject]:
    """Of the page's model: kept as its default, so for everybody, and after a restart too. Those that are not named do
    not act any more. A request's own `lora` goes before it. Raises NoModel, or UnknownAdapter."""
    page = _page_model(application)
    if page is None:
        raise NoModel
    chosen = [AdapterChoice(each.id, each.scale) for each in body if each.scale]
    found = await application.models.find_adapters(chosen)
    ids = {str(each.path): each.id for each in await application.models.models()}
    adapters = tuple(AdapterSetting(name=ids[each.path], scale=each.scale) for each in found)
    defaults = structs.replace(application.records.of(page).defaults, adapters=adapters)
    await application.records.update(page, defaults=defaults)
    return await list_adapters(application)


def _page_model(application: Application) -> ModelFile | None:
    """The one that is loaded for the page."""
    return next((each.model for each in application.models.alive if each.is_page), None)
