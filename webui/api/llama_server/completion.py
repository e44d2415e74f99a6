"""`POST /completion`, and what it shares with `/infill`: a text goes on, streamed or not, with llama.cpp's figures."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from webui.api.answers import Asking, Events
from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ParameterError, ServerStopping, UnsupportedParameter, describe
from webui.api.gathered import Gathered
from webui.api.images import MessageContent, read_base64
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.sampling import LARGEST_COUNT, SamplingFields
from webui.api.sse import EventStream, frame
from webui.core.application import Application
from webui.errors import GlasshouseError
from webui.store.model_values import ModelDefaults
from webui.types import GenerationRequest, Grammar, LoraAdapter, Priority, ReasoningDelta, TextDelta

MEDIA_MARKER = "<__media__>"
WITHOUT_EFFECT = frozenset(
    {"cache_prompt", "id_slot", "n_keep", "timings_per_token", "return_tokens", "t_max_predict_ms"}
)

router = APIRouter()

TokenId = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]


class NamedModel(BaseModel):
    model: str | None = None

    @property
    def model_name(self) -> str | None:
        return None if self.model in {None, "", "default"} else self.model


class Continuation(SamplingFields, NamedModel):
    """What every request for raw text says."""

    model_config = ConfigDict(extra="allow")
    without_effect: ClassVar[frozenset[str]] = WITHOUT_EFFECT

    n_predict: Annotated[int, Field(ge=-2, le=LARGEST_COUNT)] | None = Field(
        None, description="-1: to the end; 0: only read it, so that the next request goes on from there"
    )
    json_schema: dict[str, Any] | None = None
    stream: bool | None = None
    keep_alive: KeepAlive = KEEP_ALIVE

    def refuse_unknown(self) -> None:
        for name, value in (self.model_extra or {}).items():
            if name not in self.without_effect and value not in (None, "", [], {}, 0, False):
                raise UnsupportedParameter(name, f"“{name}” is not known here. Leave it out.")

    @property
    def only_reads(self) -> bool:
        return self.n_predict == 0

    @abstractmethod
    def asked(self) -> GenerationRequest:
        """What is to go on."""

    def to_generation(
        self, owner: str, adapters: tuple[LoraAdapter, ...] = (), defaults: ModelDefaults | None = None
    ) -> GenerationRequest:
        sampling = self.to_sampling(defaults.sampling if defaults is not None else None)
        if self.n_predict is not None:
            sampling = structs.replace(sampling, max_tokens=self.n_predict if self.n_predict > 0 else None)
        if self.json_schema is not None:
            if sampling.grammar is not None:
                raise ParameterError("json_schema", "An answer has one form: give either json_schema or another one.")
            sampling = structs.replace(
                sampling, grammar=Grammar(kind="json_schema", source=json.dumps(self.json_schema))
            )
        if self.only_reads:
            sampling = structs.replace(sampling, max_tokens=1)  # the engine ends a request with a token
        return structs.replace(self.asked(), sampling=sampling, owner=owner, priority=Priority.API, adapters=adapters)


class MultimodalPrompt(BaseModel):
    """A text with a marker for each image."""

    prompt_string: str = Field(description=f"{MEDIA_MARKER} stands where an image does")
    multimodal_data: list[str] = Field(description="The images in base64, in their order")

    def to_request(self) -> GenerationRequest:
        """Raises ParameterError."""
        content, texts = MessageContent(), self.prompt_string.split(MEDIA_MARKER)
        if len(texts) != len(self.multimodal_data) + 1:
            raise ParameterError(
                "prompt",
                f"The prompt has {len(texts) - 1} markers {MEDIA_MARKER} and {len(self.multimodal_data)} images. "
                "Write one for each.",
            )
        content.add_text(texts[0])
        for data, text in zip(self.multimodal_data, texts[1:], strict=True):
            content.add_image(read_base64(data, "prompt.multimodal_data"))
            content.add_text(text)
        return GenerationRequest(messages=(), prompt=content.text, prompt_images=content.images)


class CompletionBody(Continuation):
    prompt: Annotated[str, Field(min_length=1)] | Annotated[list[TokenId], Field(min_length=1)] | MultimodalPrompt

    def asked(self) -> GenerationRequest:
        if isinstance(self.prompt, MultimodalPrompt):
            return self.prompt.to_request()
        prompt = self.prompt if isinstance(self.prompt, str) else tuple(self.prompt)
        return GenerationRequest(messages=(), prompt=prompt)


@router.post("/completion", summary="Go on with a text", response_class=JSONResponse)
async def complete(body: CompletionBody, request: Request, application: App, owner: Owner) -> Response:
    """The prompt, text or token ids, is read as it is. The last record of a stream has `stop` true and the figures."""
    return await go_on(body, request, application, owner)


async def go_on(body: Continuation, request: Request, application: Application, owner: str) -> Response:
    """The answer to any of them."""
    body.refuse_unknown()
    asking, stopping, path = Asking(body, owner), get_stopping(request), request.url.path
    if not body.stream:
        gathered = await asking.collect(request, application, body.keep_alive)
        text = "" if body.only_reads else gathered.reasoning + gathered.text
        return JSONResponse(_last(gathered, asking.model, content=text))
    events = await asking.begin(request, application, body.keep_alive)
    frames = _frames(asking, events, path, is_silent=body.only_reads)
    return EventStream(frames, stopping, farewell=frame(describe(ServerStopping(), path)))


async def _frames(asking: Asking, events: Events, path: str, *, is_silent: bool) -> AsyncGenerator[bytes, None]:
    gathered = Gathered()
    async with aclosing(events):
        try:
            async for event in events:
                gathered.take(event)
                if isinstance(event, TextDelta | ReasoningDelta) and not is_silent:
                    yield frame({"content": event.text, "stop": False, "model": asking.model})
            yield frame(_last(gathered, asking.model, content=""))
        except GlasshouseError as error:
            yield frame(describe(error, path))


def _last(gathered: Gathered, model: str, *, content: str) -> dict[str, Any]:
    """Times are milliseconds, as llama.cpp's server has them. `truncated`: not everything was read."""
    end = gathered.end
    usage, timings = end.usage, end.timings
    prompt_ms = (timings.first_token_seconds - timings.queued_seconds) * 1000
    return {
        "content": content,
        "stop": True,
        "model": model,
        "stop_type": "limit" if end.reason == "length" else "word" if end.stop_text else "eos",
        "stopping_word": end.stop_text,
        "truncated": gathered.trimmed is not None,
        "tokens_predicted": usage.completion_tokens,
        "tokens_evaluated": usage.prompt_tokens,
        "tokens_cached": usage.cached_tokens,
        "timings": {
            "prompt_n": usage.prompt_tokens - usage.cached_tokens,
            "prompt_ms": prompt_ms,
            "predicted_n": usage.completion_tokens,
            "predicted_ms": (timings.total_seconds - timings.first_token_seconds) * 1000,
            "predicted_per_second": timings.tokens_per_second,
        },
    }
