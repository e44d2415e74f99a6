"""OpenAI's dialect, `/v1/*`: models, chats, texts, responses, embeddings, files and batches, and `/v1/rerank`."""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.openai import batches, chat, completions, embeddings, files, responses
from webui.api.openai.responses import socket_router

router = APIRouter()
for _module in (chat, completions, responses, embeddings, files, batches):
    router.include_router(_module.router)

__all__ = ["router", "socket_router"]
