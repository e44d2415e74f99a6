"""OpenAI's dialect: `/v1/models` and `/v1/chat/completions`, streamed and not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from webui.api.anthropic.models import AnthropicModel, AnthropicModelList, anthropic_list, anthropic_model
from webui.api.choices import Change, as_it_is, vary
from webui.api.dependencies import App, Owner
from webui.api.named_models import list_usable
from webui.api.openai.functions import FunctionWords
from webui.api.openai.reply import Completion
from webui.api.openai.request import ChatRequest
from webui.api.openai.respond import Question, Words, respond
from webui.core.alive import Answering
from webui.core.application import Application
from webui.errors import UnknownModel
from webui.types import (
    GenerationRequest,
    LoraAdapter,
    ModelFile,
)

Says = Callable[[Answering, int], Words]  #: the words for an answer with so many choices
AnthropicVersion = Annotated[str | None, Header(description="Sent by Anthropic's programs")]

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class ModelObject(BaseModel):
    """One model in OpenAI's shape; what stands after `owned_by` is ours."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["glasshouse"] = "glasshouse"
    name: str
    architecture: str
    parameters: int
    quantization: str
    size_bytes: int
    context_train: int
    kind: str | None = Field(description="chat, embedding or rerank")
    base_model: str | None = Field(None, description="Of a preset: the model that it uses")


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


def say_plainly(answering: Answering, num_choices: int) -> Completion:
    return Completion(answering.name, num_choices)


@router.get("/models", summary="The models that can answer, embed or rank")
async def list_models(application: App, anthropic_version: AnthropicVersion = None) -> ModelList | AnthropicModelList:
    """Chat models come first, since some programs take the first one; `kind` tells what each is made for. Programs of
    Anthropic's, which send the header `anthropic-version`, get that dialect's shape."""
    listed = await list_usable(application)
    listed.sort(key=lambda each: each[1].kind != "chat")
    if anthropic_version is not None:
        return await asyncio.to_thread(anthropic_list, listed)
    return ModelList(data=await asyncio.to_thread(lambda: [_model_object(name, model) for name, model in listed]))


@router.get("/models/{model:path}", summary="One model")
async def get_model(
    model: str, application: App, anthropic_version: AnthropicVersion = None
) -> ModelObject | AnthropicModel:
    describe_model = _model_object if anthropic_version is None else anthropic_model
    for name, known in await list_usable(application):
        if name == model:
            return await asyncio.to_thread(describe_model, name, known)
    raise UnknownModel(model)


@router.post(
    "/chat/completions",
    summary="Answer a conversation",
    response_class=JSONResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "A `chat.completion`, or its chunks"}},
)
async def create_chat_completion(body: ChatRequest, request: Request, application: App, owner: Owner) -> Response:
    """The model reads `messages` and writes the next one.

    A known `model` that is not loaded is loaded first, beside the others as memory allows. With `stream` the answer
    comes as server-sent events. The answer stops when the client hangs up.
    """
    return await answer_chat(body, request, application, owner)


async def answer_chat(
    body: ChatRequest, request: Request, application: Application, owner: str, *, says: Says = say_plainly
) -> Response:
    """A chat completion, also for dialects that add something to OpenAI's: `says` makes its words."""
    question = await ask_chat(body, application, owner, says=says)
    return await respond(request, question, stream=bool(body.stream), include_usage=body.wants_usage)


async def ask_chat(
    body: ChatRequest, application: Application, owner: str, *, says: Says = say_plainly, change: Change = as_it_is
) -> Question:
    """Raises what is wrong with the body, before a model is loaded for it."""
    body.refuse_unsupported()
    asking = _Asking(body, owner, await application.models.find_adapters(body.adapter_choices), says, change)
    answers = [
        application.models.generate(partial(asking.build, index), model=body.model_name, keep_alive=body.keep_alive)
        for index in range(body.n or 1)
    ]
    return Question(answers, asking.completion)


class _Asking:
    """One request on its way to whoever answers it; what is wrong with it shows before a model is loaded for it."""

    def __init__(
        self, body: ChatRequest, owner: str, adapters: tuple[LoraAdapter, ...], says: Says, change: Change
    ) -> None:
        self._body = body
        self._change = change
        self._owner = owner
        self._adapters = adapters
        self._says = says
        self._answering: Answering | None = None
        body.to_generation(owner, adapters)

    def build(self, index: int, answering: Answering) -> GenerationRequest:
        """What the choice of this number asks for; what the request does not say, the model's defaults do."""
        self._answering = answering
        adapters = answering.adapters if self._body.lora is None else self._adapters
        generation = self._body.to_generation(self._owner, adapters, answering.defaults)
        return self._change(vary(generation, index + 1)[index])

    def completion(self) -> Words:
        """Called after the first event: only then it is certain who answers."""
        if self._answering is None:
            raise RuntimeError("nobody answers yet")
        words = self._says(self._answering, self._body.n or 1)
        return FunctionWords(words) if self._body.has_functions else words


def _model_object(name: str, model: ModelFile) -> ModelObject:
    return ModelObject(
        id=name,
        created=int(model.path.stat().st_mtime) if model.path.exists() else 0,
        name=model.name,
        architecture=model.architecture,
        parameters=model.num_parameters,
        quantization=model.quantization,
        size_bytes=model.size_bytes,
        context_train=model.context_train,
        kind=model.kind,
        base_model=model.id if name != model.id else None,
    )
