"""`GET /models`, `POST /models/load` and `/models/unload`, as llama.cpp's router has them.

The page with the models has the same address: whoever accepts HTML, as browsers do, gets the page.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from webui.api.dependencies import App
from webui.api.named_models import list_usable
from webui.types import EngineState

_STATES: dict[EngineState, str] = {"ready": "loaded", "starting": "loading"}


class ForPrograms(APIRoute):
    """A route that lets browsers pass on to the page of the same address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter()
_beside_a_page = APIRouter(route_class=ForPrograms)


class NamedModel(BaseModel):
    model: str = Field(description="A model's id, title or file name, or a preset", examples=["SmolLM2-135M-Instruct"])


class Done(BaseModel):
    success: Literal[True] = True


@_beside_a_page.get("/models", summary="The models and whether they are loaded")
async def list_models(application: App) -> dict[str, Any]:
    """For programs; a browser gets the page."""
    states = {each.model.id: _STATES.get(each.state, "unloaded") for each in application.models.alive}
    data = [
        {
            "id": name,
            "object": "model",
            "owned_by": "glasshouse",
            "path": str(model.path),
            "status": {"value": states.get(model.id, "unloaded")},
        }
        for name, model in await list_usable(application)
    ]
    return {"object": "list", "data": data}


@router.post("/models/load", summary="Load a model beside the others")
async def load_model(body: NamedModel, application: App) -> Done:
    """Answers when it is ready, or says why it is not."""
    await application.models.load_beside(body.model)
    return Done()


@router.post("/models/unload", summary="Unload a model")
async def unload_model(body: NamedModel, application: App) -> Done:
    """Gives its memory back at once; what it was answering ends with an error that says so."""
    await application.models.unload(body.model)
    return Done()


router.include_router(_beside_a_page)
