"""OpenAI's dialect, `/v1/*`: models, chat and text completions, embeddings; and `/v1/rerank` beside them."""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.openai import batches, chat, completions, embeddings, files

router = APIRouter()
for _module in (chat, completions, embeddings, files, batches):
    router.include_router(_module.router)
