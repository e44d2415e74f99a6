"""The dialect of llama.cpp's server: raw completions, and looks at the tokenizer and the chat template.

A body's `model` names the model; without one the page's answers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from webui import __version__
from webui.api.answers import Asking, Events
from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ParameterError, ServerStopping, UnsupportedParameter, describe
from webui.api.gathered import Gathered
from webui.api.hangup import run_while_connected
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.sampling import LARGEST_COUNT, SamplingFields
from webui.api.sse import EventStream, frame
from webui.engine.protocol import Detokenize, Detokenized, Render, Rendered, Tokenize, Tokenized
from webui.errors import GlasshouseError, NoModel, TemplateFailed
from webui.store.model_values import ModelDefaults
from webui.types import GenerationRequest, Grammar, LoraAdapter, Priority, ReasoningDelta, SamplingParams, TextDelta

PATH = "/completion"
MAX_TEXT = 4_000_000  # characters to tokenize; the engine does nothing else meanwhile
_WITHOUT_EFFECT = frozenset(
    {"cache_prompt", "id_slot", "n_keep", "timings_per_token", "return_tokens", "t_max_predict_ms"}
)

_SHOWN = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")

router = APIRouter(tags=["llama.cpp"])

TokenId = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]


class _Body(BaseModel):
    model: str | None = None

    @property
    def model_name(self) -> str | None:
        return None if self.model in {None, "", "default"} else self.model


class CompletionBody(SamplingFields, _Body):
    model_config = ConfigDict(extra="allow")

    prompt: Annotated[str, Field(min_length=1)] | Annotated[list[TokenId], Field(min_length=1)]
    n_predict: Annotated[int, Field(ge=-2, le=LARGEST_COUNT)] | None = Field(None, description="-1: to the end")
    json_schema: dict[str, Any] | None = None
    stream: bool | None = None
    keep_alive: KeepAlive = KEEP_ALIVE

    def refuse_unknown(self) -> None:
        for name, value in (self.model_extra or {}).items():
            if name not in _WITHOUT_EFFECT and value not in (None, "", [], {}, 0, False):
                raise UnsupportedParameter(name, f"“{name}” is not known here. Leave it out.")

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
        return GenerationRequest(
            messages=(),
            prompt=self.prompt if isinstance(self.prompt, str) else tuple(self.prompt),
            sampling=sampling,
            owner=owner,
            priority=Priority.API,
            adapters=adapters,
        )


class TokenizeBody(_Body):
    content: Annotated[str, Field(max_length=MAX_TEXT)]
    add_special: bool = Field(False, description="The token that begins a prompt, too")
    with_pieces: bool = Field(False, description="Each token with its text")


class DetokenizeBody(_Body):
    tokens: list[TokenId]


class TemplateBody(_Body):
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True


@router.post(PATH, summary="Go on with a text", response_class=JSONResponse)
async def complete(body: CompletionBody, request: Request, application: App, owner: Owner) -> Response:
    """The prompt, text or token ids, is read as it is. The last record of a stream has `stop` true and the figures."""
    body.refuse_unknown()
    asking, stopping = Asking(body, owner), get_stopping(request)
    if not body.stream:
        gathered = await asking.collect(request, application, body.keep_alive)
        return JSONResponse(_last(gathered, asking.model, content=gathered.reasoning + gathered.text))
    events = await asking.begin(request, application, body.keep_alive)
    return EventStream(_frames(asking, events), stopping, farewell=frame(describe(ServerStopping(), PATH)))


@router.get("/props", summary="How the page's model answers")
async def get_props(application: App) -> dict[str, Any]:
    """`n_ctx` is the longest conversation. Raises NoModel while none is loaded."""
    page = next((each for each in application.models.alive if each.is_page and each.state == "ready"), None)
    if page is None:
        raise NoModel
    details = await application.catalog.details(page.model.id)
    defaults = application.records.of(page.model).defaults
    sampling = defaults.sampling or SamplingParams()
    params = {name: getattr(sampling, name) for name in _SHOWN}
    return {
        "default_generation_settings": {"n_ctx": page.context_tokens, "params": params},
        "total_slots": page.num_slots,
        "model_alias": page.model.id,
        "model_path": str(page.model.path),
        "modalities": {"vision": page.sees, "audio": False},
        "chat_template": defaults.chat_template or details.chat_template or "",
        "build_info": f"glasshouse-{__version__}",
    }


@router.post("/tokenize", summary="Text to tokens")
async def tokenize(body: TokenizeBody, request: Request, application: App) -> dict[str, Any]:
    models = application.models
    asked = Tokenize(texts=(body.content,), adds_bos=body.add_special)
    found = cast(
        "Tokenized",
        await run_while_connected(request.receive, get_stopping(request), models.probe(asked, model=body.model_name)),
    )
    tokens = found.texts[0].tokens
    if not body.with_pieces:
        return {"tokens": tokens}
    said = cast("Detokenized", await models.probe(Detokenize(tokens=tokens), model=body.model_name))
    return {"tokens": [{"id": each, "piece": _piece(text)} for each, text in zip(tokens, said.pieces, strict=True)]}


@router.post("/detokenize", summary="Tokens to text")
async def detokenize(body: DetokenizeBody, request: Request, application: App) -> dict[str, str]:
    work = application.models.probe(Detokenize(tokens=tuple(body.tokens)), model=body.model_name)
    found = cast("Detokenized", await run_while_connected(request.receive, get_stopping(request), work))
    return {"content": b"".join(found.pieces).decode("utf-8", "replace")}


@router.post("/apply-template", summary="What the chat template makes of messages")
async def apply_template(body: TemplateBody, request: Request, application: App) -> dict[str, str]:
    """As the model's own template writes it; an answer may take another shape where the template refuses one."""
    asked = Render(
        messages=json.dumps(body.messages),
        tools=json.dumps(body.tools) if body.tools else "",
        add_generation_prompt=body.add_generation_prompt,
    )
    work = application.models.probe(asked, model=body.model_name)
    found = cast("Rendered", await run_while_connected(request.receive, get_stopping(request), work))
    if found.text is None:
        raise TemplateFailed(found.refusal)
    return {"prompt": found.text}


async def _frames(asking: Asking, events: Events) -> AsyncGenerator[bytes, None]:
    gathered = Gathered()
    async with aclosing(events):
        try:
            async for event in events:
                gathered.take(event)
                if isinstance(event, TextDelta | ReasoningDelta):
                    yield frame({"content": event.text, "stop": False, "model": asking.model})
            yield frame(_last(gathered, asking.model, content=""))
        except GlasshouseError as error:
            yield frame(describe(error, PATH))


def _last(gathered: Gathered, model: str, *, content: str) -> dict[str, Any]:
    """Times are milliseconds, as llama.cpp's server has them."""
    end = gathered.end
    usage, timings = end.usage, end.timings
    prompt_ms = (timings.first_token_seconds - timings.queued_seconds) * 1000
    return {
        "content": content,
        "stop": True,
        "model": model,
        "stop_type": "limit" if end.reason == "length" else "word" if end.stop_text else "eos",
        "stopping_word": end.stop_text,
        "truncated": False,
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


def _piece(text: bytes) -> str | list[int]:
    """Bytes where a character is spread over several tokens."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return list(text)
