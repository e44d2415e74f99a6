"""The requests of a batch, answered as their endpoints would: the same bodies, the same checks, the same words.

They run only while nobody else asks, and what they have read is dropped again, so that no person's prefix goes for it.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from webui.api.error_bodies import Refusal, error_body
from webui.api.errors import ParameterError, describe, describe_mistakes, status_of
from webui.api.openai.chat import ask_chat
from webui.api.openai.completions import CompletionRequest, ask_completion
from webui.api.openai.embeddings import EmbeddingsRequest, collect_embeddings
from webui.api.openai.request import ChatRequest
from webui.api.openai.responses.requests import ResponseRequest
from webui.api.openai.responses.turn import prepare
from webui.core.application import Application
from webui.core.batch_asking import RETRY_SECONDS, Answered
from webui.core.batch_room import would_disturb
from webui.errors import EngineBusy, GlasshouseError
from webui.types import GenerationRequest, Priority

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")

Body = TypeVar("Body", bound=BaseModel)


class BatchAnswerer:
    """Answers with the models of one Application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def answer(self, endpoint: str, body: bytes, owner: str) -> Answered:
        """Raises GlasshouseError; what a body says wrongly is an answer, too."""
        try:
            return Answered(200, await self._answer(endpoint, _read(body), owner))
        except ValidationError as error:
            mistakes = [{**mistake, "loc": ("body", *mistake["loc"])} for mistake in error.errors()]
            refusal: Refusal = describe_mistakes(mistakes)
            return Answered(refusal.status, msgspec.json.encode(error_body(refusal, endpoint)))

    def refuse(self, endpoint: str, error: GlasshouseError) -> Answered:
        return Answered(status_of(error), msgspec.json.encode(describe(error, endpoint)))

    async def _answer(self, endpoint: str, body: dict[str, Any], owner: str) -> bytes:
        if body.get("stream"):
            raise ParameterError("stream", "The answers of a batch are not streamed. Leave “stream” out.")
        await self._check_room(body.get("model"))
        match endpoint:
            case "/v1/chat/completions":
                chat = ChatRequest.model_validate(body)
                question = await ask_chat(chat, self._application, owner, change=in_background)
            case "/v1/completions":
                text = CompletionRequest.model_validate(body)
                question = ask_completion(text, self._application, owner, change=in_background)
            case "/v1/embeddings":
                wanted = EmbeddingsRequest.model_validate(body)
                return await collect_embeddings(wanted, self._application, owner, priority=Priority.IDLE)
            case "/v1/responses":
                return await self._respond(ResponseRequest.model_validate(body), owner)
            case _:
                raise ParameterError("endpoint", f"There are no batches for {endpoint}.")
        return msgspec.json.encode(await question.collect())

    async def _respond(self, body: ResponseRequest, owner: str) -> bytes:
        if body.background:
            raise ParameterError("background", "A batch is in the background anyway. Leave “background” out.")
        turn = await prepare(body, owner, self._application)
        events = turn.asking.ask(self._application, body.keep_alive, in_background)
        async with aclosing(turn.tell(events)) as told:
            async for _ in told:
                pass
        return msgspec.json.encode(turn.reply.object)

    async def _check_room(self, model: object) -> None:
        """Raises EngineBusy while somebody's model would have to go; then the request waits."""
        is_named = isinstance(model, str) and model not in {"", "default"}
        if is_named and await would_disturb(self._application.models, str(model)):
            raise EngineBusy(retry_after=RETRY_SECONDS)


def in_background(request: GenerationRequest) -> GenerationRequest:
    """Background work would write one token in every step, beside people; idle work leaves all steps to them."""
    return msgspec.structs.replace(request, priority=Priority.IDLE, is_side_job=True)


def _read(body: bytes) -> dict[str, Any]:
    """The line was checked to be JSON with an object here."""
    try:
        read: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        raise ParameterError("body", "The body is nested too deeply, or is no JSON in UTF-8.") from None
    return read
