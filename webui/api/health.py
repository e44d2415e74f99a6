"""Signs of life for whoever watches over the server: Docker, Kubernetes, a load balancer.

Open to everybody, so they tell states and never names; cheap, so they may be asked every second. Ready means that a
request would be answered: by a model that is loaded, or by one that is loaded on demand.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App, get_stopping
from webui.core.application import Application
from webui.errors import GlasshouseError

_FRESH_SECONDS = 5.0  # a look into the model folders is not for every probe

router = APIRouter(tags=["Glasshouse"])

Reason = Literal["server_stopping", "model_failed", "no_model"]

_WORDS: dict[Reason, str] = {
    "server_stopping": "Glasshouse is being stopped.",
    "model_failed": "The model could not be loaded, or ended. The page and the server's log say why.",
    "no_model": "There is no model that would be loaded on demand. Put one into the models folder, or choose one.",
}


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class NotReady(BaseModel):
    status: Literal["unavailable"] = "unavailable"
    reason: Reason
    message: str = Field(description="The reason in a sentence")


class Readiness:
    """Remembers for some seconds whether a model would be loaded on demand."""

    def __init__(self) -> None:
        self._asked_at = -_FRESH_SECONDS
        self._is_there = False
        self._lock = asyncio.Lock()

    async def problem(self, application: Application) -> Reason | None:
        """None: ready."""
        models = application.models
        if any(each.state == "ready" for each in models.alive):
            return None
        if models.status.state == "failed":
            return "model_failed"
        if models.status.state == "starting":
            return None  # a request waits for it
        return None if await self._has_default(application) else "no_model"

    async def _has_default(self, application: Application) -> bool:
        async with self._lock:
            if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                try:
                    model = await application.models.default()
                    self._is_there = model.problem is None
                except GlasshouseError:
                    self._is_there = False
                self._asked_at = time.monotonic()
            return self._is_there


def get_readiness(request: Request) -> Readiness:
    """One for the server."""
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = Readiness()
    readiness: Readiness = state.readiness
    return readiness


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Is the server alive?")
@router.head("/health/live", include_in_schema=False)
@router.get("/health/live", summary="Is the server alive? (for probes)")
@router.head("/v1/health", include_in_schema=False)
@router.get("/v1/health", summary="Is the server alive? (as llama.cpp's server has it)", tags=["llama.cpp"])
async def get_health() -> Health:
    return Health()


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", summary="Would a request be answered?", responses={503: {"model": NotReady}})
async def get_ready(
    application: App, readiness: Annotated[Readiness, Depends(get_readiness)], request: Request, response: Response
) -> Health | NotReady:
    """200 while a model can answer, or would be loaded on demand; else 503 with the reason."""
    reason: Reason | None = (
        "server_stopping" if get_stopping(request).is_set() else await readiness.problem(application)
    )
    if reason is None:
        return Health()
    response.status_code = 503
    return NotReady(reason=reason, message=_WORDS[reason])
