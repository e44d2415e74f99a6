"""Other programs' models on this machine: what was found, and whether it is used."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

from webui.api.dependencies import App
from webui.types import StoreKind

router = APIRouter(prefix="/manage/stores", tags=["Models"])


class StoreChoice(BaseModel):
    kind: StoreKind
    is_used: bool = Field(description="List its models too; they are read where they lie and never changed")


@router.get("", summary="Other programs' models on this machine")
async def list_stores(application: App) -> list[dict[str, Any]]:
    """Ollama's, LM Studio's, Jan's and the Hugging Face cache, those that hold at least one GGUF. None is used before
    somebody says so."""
    return [msgspec.to_builtins(store) for store in await application.stores.list()]


@router.put("", summary="Use a program's models, or do not")
async def choose_store(body: StoreChoice, application: App) -> list[dict[str, Any]]:
    """A store that is not used is not offered again either."""
    await application.stores.choose(body.kind, is_used=body.is_used)
    return await list_stores(application)
