"""LM Studio's own dialect, `/api/v0/*`: OpenAI's, with the state of models and the figures of answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from webui import __version__
from webui.api.dependencies import App, Owner
from webui.api.named_models import list_usable
from webui.api.openai.chat import answer_chat
from webui.api.openai.completions import CompletionRequest, answer_completion
from webui.api.openai.embeddings import create_embeddings
from webui.api.openai.reply import Completion
from webui.api.openai.request import ChatRequest
from webui.api.openai.respond import Words
from webui.api.openai.text_reply import TextCompletion
from webui.core.alive import Answering
from webui.core.application import Application
from webui.errors import UnknownModel
from webui.types import Finished, GenerationEvent, ModelFile

_TYPES = {"chat": "llm", "embedding": "embeddings", "rerank": "rerank"}
_STOP_REASONS = {"stop": "eosFound", "length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}

router = APIRouter(prefix="/api/v0", tags=["LM Studio"])


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    type: str
    publisher: str
    arch: str
    compatibility_type: Literal["gguf"] = "gguf"
    quantization: str
    state: Literal["loaded", "not-loaded"]
    max_context_length: int
    loaded_context_length: int | None = None


class ModelEntries(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


@router.get("/models", summary="The models and whether they are loaded", response_model_exclude_none=True)
async def list_models(application: App) -> ModelEntries:
    return ModelEntries(data=await _list_entries(application))


@router.get("/models/{model:path}", summary="One model", response_model_exclude_none=True)
async def get_model(model: str, application: App) -> ModelEntry:
    for entry in await _list_entries(application):
        if entry.id == model:
            return entry
    raise UnknownModel(model)


@router.post("/chat/completions", summary="Answer a conversation, with figures", response_class=JSONResponse)
async def create_chat_completion(body: ChatRequest, request: Request, application: App, owner: Owner) -> Response:
    """As `/v1/chat/completions`; the answer, or its last chunk, has `stats`, `model_info` and `runtime`."""
    return await answer_chat(body, request, application, owner, says=_chat_with_figures)


@router.post("/completions", summary="Go on with a text, with figures", response_class=JSONResponse)
async def create_completion(body: CompletionRequest, request: Request, application: App, owner: Owner) -> Response:
    """As `/v1/completions`, with the same figures."""
    return await answer_completion(body, request, application, owner, says=_text_with_figures)


router.post("/embeddings", summary="Turn texts into vectors", response_class=Response)(create_embeddings)


class _WithFigures:
    """OpenAI's words and LM Studio's figures behind them."""

    def __init__(self, words: Words, model: ModelFile) -> None:
        self._words = words
        self._model = model

    @property
    def num_choices(self) -> int:
        return self._words.num_choices

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        ends: list[Finished] = []

        async def pass_on() -> AsyncIterator[tuple[int, GenerationEvent]]:
            async for index, event in events:
                if isinstance(event, Finished):
                    ends.append(event)
                yield index, event

        return await self._words.collect(pass_on()) | _figures(self._model, ends[-1])

    def first_chunk(self, index: int) -> dict[str, Any] | None:
        return self._words.first_chunk(index)

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        chunk = self._words.event_chunk(index, event)
        return chunk if chunk is None or not isinstance(event, Finished) else chunk | _figures(self._model, event)

    def usage_chunk(self) -> dict[str, Any]:
        return self._words.usage_chunk()


def _chat_with_figures(answering: Answering, num_choices: int) -> Words:
    return _WithFigures(Completion(answering.name, num_choices), answering.model)


def _text_with_figures(answering: Answering, echoes: Sequence[str], num_each: int) -> Words:
    return _WithFigures(TextCompletion(answering, echoes, num_each), answering.model)


def _figures(model: ModelFile, end: Finished) -> dict[str, Any]:
    """Times are seconds."""
    timings = end.timings
    return {
        "stats": {
            "tokens_per_second": timings.tokens_per_second,
            "time_to_first_token": timings.first_token_seconds,
            "generation_time": timings.total_seconds - timings.first_token_seconds,
            "stop_reason": "stopStringFound" if end.stop_text else _STOP_REASONS.get(end.reason, "userStopped"),
        },
        "model_info": {
            "arch": model.architecture,
            "quant": model.quantization,
            "format": "gguf",
            "context_length": model.context_train,
        },
        "runtime": {"name": "glasshouse", "version": __version__, "supported_formats": ["gguf"]},
    }


async def _list_entries(application: Application) -> list[ModelEntry]:
    loaded = {each.model.id: each for each in application.models.alive if each.state == "ready"}
    return [
        ModelEntry(
            id=name,
            type="vlm" if model.id in loaded and loaded[model.id].sees else _TYPES.get(model.kind or "", "llm"),
            publisher=publisher_of(model, application.settings.models_dir),
            arch=model.architecture,
            quantization=model.quantization,
            state="loaded" if model.id in loaded else "not-loaded",
            max_context_length=model.context_train,
            loaded_context_length=loaded[model.id].context_tokens if model.id in loaded else None,
        )
        for name, model in await list_usable(application)
    ]


def publisher_of(model: ModelFile, models_dir: Path) -> str:
    """Whose repository it came from, as the folders of fetched models tell."""
    parts = model.path.relative_to(models_dir).parts if model.path.is_relative_to(models_dir) else ()
    return parts[0] if len(parts) == 3 else ""
