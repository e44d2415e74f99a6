"""The Responses API: `/v1/responses` over HTTP and WebSocket, with what is stored of it."""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.openai.responses import routes, stored
from webui.api.openai.responses.socket import router as socket_router

router = APIRouter()
for _module in (routes, stored):
    router.include_router(_module.router)

__all__ = ["router", "socket_router"]
