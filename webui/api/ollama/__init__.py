"""Ollama's dialect, `/api/*`: every program that speaks to Ollama speaks to Glasshouse.

Streams are lines of JSON, durations are nanoseconds, errors are `{"error": "…"}`.
"""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.ollama import answers, blobs, embeddings, keeping, models, pull

router = APIRouter(prefix="/api", tags=["Ollama"])
for _module in (models, answers, embeddings, pull, keeping, blobs):
    router.include_router(_module.router)
