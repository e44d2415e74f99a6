"""LoRA adapters on the wire: the field `lora` of a request, and the list of what it may name.

The shape is llama.cpp's; only the ids are ours: words from the catalog instead of numbers, which would change with the
files.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from webui.api.dependencies import App
from webui.core.adapters import MAX_SCALE, AdapterChoice

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


@router.get("/lora-adapters", summary="The LoRA adapters that a request can name in `lora`")
async def list_adapters(application: App) -> list[AdapterObject]:
    return [
        AdapterObject(id=each.id, name=each.name, architecture=each.architecture, size_bytes=each.size_bytes)
        for each in await application.models.models()
        if each.kind == "adapter"
    ]
