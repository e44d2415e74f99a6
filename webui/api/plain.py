"""The plainest routes, for curl and for a first program: a prompt in, a text out.

    curl localhost:8002/chat -d '{"prompt": "Name three birds."}'

`/generate` goes on with a text as it is, `/chat` answers through the model's chat template; `…/stream` tells the answer
while it is written. Everything else a body may say is as in `/v1/completions` and `/v1/chat/completions`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from webui import __version__
from webui.api.dependencies import App, Owner
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.gathered import Gathered
from webui.api.named_models import list_usable
from webui.api.native import ModelSummary, model_summary
from webui.api.openai.chat import ask_chat
from webui.api.openai.completions import CompletionRequest, ask_completion, to_prompts
from webui.api.openai.reply import finish_reason, logprobs_object, timings_object, usage_object
from webui.api.openai.request import MAX_MESSAGES, ChatMessage, ChatRequest
from webui.api.openai.respond import respond
from webui.core.alive import Answering
from webui.types import EngineState, Finished, GenerationEvent, ReasoningDelta, TextDelta

router = APIRouter(tags=["Plain"])

_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


class PlainPrompt(CompletionRequest):
    """A text that is to go on."""

    usual_tokens: ClassVar[int | None] = 256  # a text that is no conversation may never end by itself

    def refuse_unsupported(self) -> None:
        super().refuse_unsupported()
        if len(self.prompts) != 1:
            raise ParameterError("prompt", "Here is one answer to one prompt. /generate/batch takes several.")
        if (self.n or 1) != 1:
            raise UnsupportedParameter("n", "Here is one answer to one prompt. Send it several times.")


class PlainPrompts(CompletionRequest):
    """Texts that are to go on, side by side."""

    usual_tokens: ClassVar[int | None] = PlainPrompt.usual_tokens

    prompt: Annotated[list[str | list[int]], BeforeValidator(to_prompts)] = Field(
        validation_alias="prompts", examples=[["The capital of France is", "The capital of Spain is"]]
    )

    def refuse_unsupported(self) -> None:
        super().refuse_unsupported()
        if (self.n or 1) != 1:
            raise UnsupportedParameter("n", "Here is one answer to each prompt. Send a prompt several times.")


class PlainChat(ChatRequest):
    """A question, or a whole conversation."""

    messages: Annotated[list[ChatMessage], Field(max_length=MAX_MESSAGES)] = Field(
        [], description="What was said before, as /v1/chat/completions has it"
    )
    prompt: str | None = Field(None, description="What you say", examples=["Name three birds."])
    system: str | None = Field(None, description="How the model should answer")

    @model_validator(mode="after")
    def _say(self) -> PlainChat:
        before = [_message("system", self.system)] if self.system else []
        said = [_message("user", self.prompt)] if self.prompt else []
        self.messages = [*before, *self.messages, *said]
        if not any(each.role != "system" for each in self.messages):
            raise PydanticCustomError("prompt", "Say something: a “prompt”, or “messages”")
        return self

    def refuse_unsupported(self) -> None:
        super().refuse_unsupported()
        if (self.n or 1) != 1:
            raise UnsupportedParameter("n", "Here is one answer to one question. Send it several times.")


def _message(role: str, text: str) -> ChatMessage:
    return ChatMessage.model_validate({"role": role, "content": text})


class Info(BaseModel):
    """What answers here."""

    name: Literal["glasshouse"] = "glasshouse"
    version: str
    state: EngineState
    model: ModelSummary | None = Field(description="The one that answers where a request names none")
    models: list[str] = Field(description="What the `model` of a request can be")
    docs: Literal["/docs"] = "/docs"


@router.post("/generate", summary="Go on with a text", response_class=JSONResponse)
async def generate(body: PlainPrompt, request: Request, application: App, owner: Owner) -> Response:
    """`{"prompt": "…"}` to `{"text": "…"}`. At most 256 tokens unless `max_tokens` says otherwise."""
    question = ask_completion(body, application, owner, says=PlainAnswer.of_texts)
    return await respond(request, question, stream=bool(body.stream), include_usage=False)


@router.post("/generate/stream", summary="Go on with a text, told as it is written", responses=_STREAM)
async def stream_generate(body: PlainPrompt, request: Request, application: App, owner: Owner) -> Response:
    """Server-sent events: `{"text": "…"}` for each piece, the last with `finish_reason`, then `[DONE]`."""
    question = ask_completion(body, application, owner, says=PlainAnswer.of_texts)
    return await respond(request, question, stream=True, include_usage=False)


@router.post("/generate/batch", summary="Go on with several texts", response_class=JSONResponse)
async def generate_batch(body: PlainPrompts, request: Request, application: App, owner: Owner) -> Response:
    """`{"prompts": ["…", "…"]}` to `{"answers": [{"text": "…"}, …]}`, in the order of the prompts, written side by
    side."""
    if body.stream:
        raise UnsupportedParameter("stream", "Several answers come together. Leave “stream” out.")
    question = ask_completion(body, application, owner, says=PlainAnswers)
    return await respond(request, question, stream=False, include_usage=False)


@router.post("/chat", summary="Answer a question", response_class=JSONResponse)
async def chat(body: PlainChat, request: Request, application: App, owner: Owner) -> Response:
    """`{"prompt": "…"}`, with `system` and earlier `messages` where there are any, to `{"text": "…"}`."""
    question = await ask_chat(body, application, owner, says=PlainAnswer.of_chat)
    return await respond(request, question, stream=bool(body.stream), include_usage=False)


@router.post("/chat/stream", summary="Answer a question, told as it is written", responses=_STREAM)
async def stream_chat(body: PlainChat, request: Request, application: App, owner: Owner) -> Response:
    """Server-sent events as those of `/generate/stream`; what the model thinks comes as `{"reasoning": "…"}`."""
    question = await ask_chat(body, application, owner, says=PlainAnswer.of_chat)
    return await respond(request, question, stream=True, include_usage=False)


@router.get("/info", summary="What answers here")
async def get_info(application: App) -> Info:
    return Info(
        version=__version__,
        state=application.models.status.state,
        model=model_summary(application.models.status),
        models=[name for name, _ in await list_usable(application)],
    )


class PlainAnswers:
    """Several answers as one object, in their order."""

    def __init__(self, answering: Answering, echoes: Sequence[str], num_each: int = 1) -> None:
        self.model = answering.name
        self._echoes = echoes
        self._choices = [Gathered() for _ in echoes]

    @property
    def num_choices(self) -> int:
        return len(self._choices)

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        answers = await self.gather(events)
        return {"answers": answers, "model": self.model}

    async def gather(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> list[dict[str, Any]]:
        async for index, event in events:
            self._choices[index].take(event)
        return [
            {"text": echo + said.text} | _said_beside(said) | _how_it_ended(said)
            for echo, said in zip(self._echoes, self._choices, strict=True)
        ]

    def first_chunk(self, index: int) -> dict[str, Any] | None:
        return {"text": self._echoes[index]} if self._echoes[index] else None

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        said = self._choices[index]
        said.take(event)
        match event:
            case TextDelta(text=text):
                return {"text": text}
            case ReasoningDelta(text=text):
                return {"reasoning": text}
            case Finished():
                said.reasoning = ""  # it was told as it came
                return {"text": ""} | _said_beside(said) | _how_it_ended(said) | {"model": self.model}
            case _:
                return None

    def usage_chunk(self) -> dict[str, Any]:
        return {"usage": usage_object(self._choices[0].end.usage)}


class PlainAnswer(PlainAnswers):
    """The only one."""

    @classmethod
    def of_texts(cls, answering: Answering, echoes: Sequence[str], num_each: int) -> PlainAnswer:
        return cls(answering, echoes, num_each)

    @classmethod
    def of_chat(cls, answering: Answering, _num_choices: int) -> PlainAnswer:
        return cls(answering, [""])

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        (answer,) = await self.gather(events)
        return answer | {"model": self.model}


def _said_beside(said: Gathered) -> dict[str, Any]:
    """What is not the text, where there is any."""
    told: dict[str, Any] = {"reasoning": said.reasoning} if said.reasoning else {}
    if said.calls:
        told["tool_calls"] = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in said.calls]
    logprobs = logprobs_object(said.take_logprobs())
    return told | ({"logprobs": logprobs["content"]} if logprobs else {}) | said.told


def _how_it_ended(said: Gathered) -> dict[str, Any]:
    end = said.end
    return {
        "finish_reason": finish_reason(end),
        "usage": usage_object(end.usage),
        "timings": timings_object(end.timings),
    }
