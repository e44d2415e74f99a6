"""OpenAI's dialect, `/v1/*`: models, chat and text completions, embeddings; and `/v1/rerank` beside them."""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.openai import chat, completions, embeddings

router = APIRouter()
for _module in (chat, completions, embeddings):
    router.include_router(_module.router)
