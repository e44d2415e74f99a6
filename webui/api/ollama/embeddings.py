"""Vectors in Ollama's two shapes: `/api/embed`, and the older `/api/embeddings`."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App, Owner, get_stopping
from webui.api.hangup import run_while_connected
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.ollama.loading import load_or_unload
from webui.api.ollama.names import plain_name
from webui.api.openai.embeddings import MAX_DIMENSIONS, MAX_INPUTS, float_vectors
from webui.core.application import Application
from webui.types import EmbeddingRequest, Embeddings, Priority

router = APIRouter()


class _Body(BaseModel):
    model: str
    options: dict[str, Any] | None = Field(None, description="Without effect on vectors")
    keep_alive: KeepAlive = KEEP_ALIVE


class EmbedRequest(_Body):
    input: str | Annotated[list[str], Field(max_length=MAX_INPUTS)] = []
    truncate: bool | None = Field(None, description="Without effect: what is too long is an error, never cut")
    dimensions: Annotated[int, Field(ge=1, le=MAX_DIMENSIONS)] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)


class OldRequest(_Body):
    prompt: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.prompt,) if self.prompt else ()


@router.post("/embed", summary="Turn texts into vectors", response_class=Response)
async def embed(body: EmbedRequest, request: Request, application: App, owner: Owner) -> Response:
    """Vectors have length 1. Without input the model is only loaded, or with `keep_alive` 0 unloaded."""
    asked_at = time.monotonic()
    work = _embed(body, application, owner, body.dimensions)
    embeddings = await run_while_connected(request.receive, get_stopping(request), work)
    reply = {
        "model": body.model,
        "embeddings": await asyncio.to_thread(float_vectors, embeddings),
        "total_duration": round((time.monotonic() - asked_at) * 1e9),
        "prompt_eval_count": embeddings.num_tokens,
    }
    return _json(reply)


@router.post("/embeddings", summary="Turn one text into a vector", response_class=Response, deprecated=True)
async def embed_one(body: OldRequest, request: Request, application: App, owner: Owner) -> Response:
    embeddings = await run_while_connected(request.receive, get_stopping(request), _embed(body, application, owner))
    vectors = float_vectors(embeddings)
    return _json({"embedding": vectors[0] if vectors else []})


async def _embed(
    body: EmbedRequest | OldRequest, application: Application, owner: str, dimensions: int | None = None
) -> Embeddings:
    name = plain_name(body.model)
    if not body.texts:
        await load_or_unload(application, name, body.keep_alive)
        return Embeddings(vectors=b"", dimensions=0, num_tokens=0)
    wanted = EmbeddingRequest(inputs=body.texts, dimensions=dimensions, owner=owner, priority=Priority.API)
    _, embeddings = await application.embedding_models.embed(wanted, model=name, keep_alive=body.keep_alive)
    return embeddings


def _json(reply: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(reply), media_type="application/json")
