"""Vectors and ranking: `/v1/embeddings` in OpenAI's shape, `/v1/rerank` in the one that Jina and Cohere share.

A request belongs to its connection: when the client hangs up, the engine stops. A parameter that would change the
answer and is not known here is an error.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import UnsupportedParameter
from webui.api.hangup import run_while_connected
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.token_ids import are_tokens
from webui.core.application import Application
from webui.types import EmbeddingRequest, Embeddings, Priority, Ranking, RerankRequest

MAX_INPUTS = 2048  #: as many as OpenAI takes
MAX_DIMENSIONS = 2**31 - 1
MAX_DOCUMENTS = 10_000
_LABELS = frozenset({"user", "metadata"})

router = APIRouter(prefix="/v1", tags=["Embeddings"])


def _check_input(value: object) -> object:
    """One sentence where pydantic would say one for each shape that it is not."""
    items = [value] if isinstance(value, str) or (are_tokens(value) and value) else value
    if not isinstance(items, list) or not all(isinstance(each, str) or are_tokens(each) for each in items):
        raise PydanticCustomError("input", "Input should be a text, a list of texts, or token ids (a list, or lists)")
    if not 1 <= len(items) <= MAX_INPUTS:
        raise PydanticCustomError("input", f"Input should hold 1 to {MAX_INPUTS} texts, not {len(items)}")
    return items


def _check_documents(value: object) -> object:
    def text_of(document: object) -> object:
        return document.get("text") if isinstance(document, dict) else document

    if not isinstance(value, list) or not all(isinstance(text_of(each), str) for each in value):
        raise PydanticCustomError("documents", 'Documents should be a list of texts, or of objects like {"text": "…"}')
    if not 1 <= len(value) <= MAX_DOCUMENTS:
        raise PydanticCustomError("documents", f"Documents should be 1 to {MAX_DOCUMENTS}, not {len(value)}")
    return value


class _Body(BaseModel):
    """What both requests have."""

    model_config = ConfigDict(extra="allow")

    model: str | None = Field(None, description="Absent or “default”: the one that is loaded, else the first")

    keep_alive: KeepAlive = KEEP_ALIVE

    def refuse_unknown(self) -> None:
        """Raises UnsupportedParameter for the first parameter that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if value is not None and name not in _LABELS:
                raise UnsupportedParameter(name, f"“{name}” is not known here.")

    @property
    def model_name(self) -> str | None:
        return None if self.model in {None, "", "default"} else self.model


class EmbeddingsRequest(_Body):
    """Texts, or token ids, whose vectors are wanted."""

    input: Annotated[str | list[str] | list[int] | list[list[int]], BeforeValidator(_check_input)] = Field(
        examples=["A lighthouse keeper finds a bottle."]
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64: the bytes of little-endian 32-bit floats"
    )
    dimensions: Annotated[int, Field(ge=1, le=MAX_DIMENSIONS)] | None = Field(
        None, description="Keep only the first so many numbers, for models that were trained for that"
    )

    def to_request(self, owner: str) -> EmbeddingRequest:
        inputs = tuple(each if isinstance(each, str) else tuple(each) for each in self._items)
        return EmbeddingRequest(inputs=inputs, dimensions=self.dimensions, owner=owner, priority=Priority.API)

    @property
    def _items(self) -> list[Any]:
        """The validator has made a list of everything."""
        return list(self.input)


class Document(BaseModel):
    text: str


class RankingRequest(_Body):
    """Documents that are to be ordered by how well they answer the query."""

    query: str = Field(examples=["Who keeps the lighthouse?"])
    documents: Annotated[list[str | Document], BeforeValidator(_check_documents)]
    top_n: Annotated[int, Field(ge=1)] | None = Field(None, description="Answer with the best so many only")
    return_documents: bool | None = Field(None, description="Send the texts back, too")

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each if isinstance(each, str) else each.text for each in self.documents)


_LIST_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}


@router.post("/embeddings", summary="Turn texts into vectors", response_class=Response, responses=_LIST_RESPONSE)
async def create_embeddings(body: EmbeddingsRequest, request: Request, application: App, owner: Owner) -> Response:
    """Vectors have length 1, so a dot product is the cosine. A text that is longer than the model reads is an error."""
    work = collect_embeddings(body, application, owner)
    content = await run_while_connected(request.receive, get_stopping(request), work)
    return Response(content, media_type="application/json")


async def collect_embeddings(
    body: EmbeddingsRequest, application: Application, owner: str, *, priority: Priority = Priority.API
) -> bytes:
    """The JSON of the answer."""
    body.refuse_unknown()
    asked = msgspec.structs.replace(body.to_request(owner), priority=priority)
    model, embeddings = await application.embedding_models.embed(
        asked, model=body.model_name, keep_alive=body.keep_alive
    )
    return await asyncio.to_thread(_embeddings_json, embeddings, model.id, as_base64=body.encoding_format == "base64")


@router.post("/rerank", summary="Order documents by a query", response_class=Response, responses=_LIST_RESPONSE)
async def rerank(body: RankingRequest, request: Request, application: App, owner: Owner) -> Response:
    """`relevance_score` is 0 to 1, `index` the document's place in the request; the best comes first."""
    body.refuse_unknown()
    wanted = RerankRequest(query=body.query, documents=body.texts, owner=owner, priority=Priority.API)
    work = application.embedding_models.rerank(wanted, model=body.model_name, keep_alive=body.keep_alive)
    model, ranking = await run_while_connected(request.receive, get_stopping(request), work)
    return Response(msgspec.json.encode(_ranking_body(ranking, body, model.id)), media_type="application/json")


def _embeddings_json(embeddings: Embeddings, model: str, *, as_base64: bool) -> bytes:
    """OpenAI's list; thousands of vectors take a while, so this runs in a thread."""
    data = [
        {"object": "embedding", "index": index, "embedding": _as_base64(vector) if as_base64 else _as_floats(vector)}
        for index, vector in enumerate(_split(embeddings))
    ]
    usage = {"prompt_tokens": embeddings.num_tokens, "total_tokens": embeddings.num_tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def float_vectors(embeddings: Embeddings) -> list[list[float]]:
    """One list of numbers for each input."""
    return [_as_floats(vector) for vector in _split(embeddings)]


def _split(embeddings: Embeddings) -> list[bytes]:
    size = embeddings.dimensions * 4
    return [embeddings.vectors[start : start + size] for start in range(0, len(embeddings.vectors), size or 1)]


def _as_base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode("ascii")


def _as_floats(vector: bytes) -> list[float]:
    return [float(text) for text in np.frombuffer(vector, dtype="<f4").astype(str)]  # 0.1, not 0.10000000149


def _ranking_body(ranking: Ranking, body: RankingRequest, model: str) -> dict[str, Any]:
    best = sorted(enumerate(ranking.scores), key=lambda each: -each[1])[: body.top_n]
    texts = body.texts
    results = [
        {"index": index, "relevance_score": score}
        | ({"document": {"text": texts[index]}} if body.return_documents else {})
        for index, score in best
    ]
    usage = {"prompt_tokens": ranking.num_tokens, "total_tokens": ranking.num_tokens}
    return {"object": "list", "model": model, "results": results, "usage": usage}
