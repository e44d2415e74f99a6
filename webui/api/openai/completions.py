"""OpenAI's older dialect, `/v1/completions`: text goes on, without a conversation and its template.

Prompts are texts or token ids; several are answered side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from msgspec import structs
from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from webui.api.choices import Change, as_it_is, vary
from webui.api.dependencies import App, Owner
from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.request import MAX_CHOICES, StreamOptions
from webui.api.openai.respond import Question, Words, respond
from webui.api.openai.sampling import SamplingFields
from webui.api.openai.text_reply import TextCompletion
from webui.api.token_ids import are_tokens
from webui.core.alive import Answering
from webui.core.application import Application
from webui.types import Gap, GenerationRequest, Priority

MAX_PROMPTS = 64
_LABELS = frozenset({"user", "metadata"})

Prompt = str | tuple[int, ...]
Says = Callable[[Answering, Sequence[str], int], Words]  #: for choices that begin so, and so many for each prompt

router = APIRouter(prefix="/v1", tags=["OpenAI"])


def to_prompts(value: object) -> object:
    """One sentence where pydantic would say one for each shape that it is not."""
    items = [value] if isinstance(value, str) or (are_tokens(value) and value) else value
    if not isinstance(items, list) or not all(isinstance(each, str) or are_tokens(each) for each in items):
        raise PydanticCustomError("prompt", "Prompt should be a text, a list of texts, or token ids (a list, or lists)")
    if not 1 <= len(items) <= MAX_PROMPTS:
        raise PydanticCustomError("prompt", f"Prompt should hold 1 to {MAX_PROMPTS} texts, not {len(items)}")
    return items


class CompletionRequest(SamplingFields):
    """Text that is to go on. Null means "not given"."""

    model_config = ConfigDict(extra="allow")
    usual_tokens: ClassVar[int | None] = 16  #: OpenAI's own default here

    model: str | None = Field(None, description="A model of GET /v1/models; absent or “default”: the current one")
    prompt: Annotated[str | list[int] | list[str | list[int]], BeforeValidator(to_prompts)] = Field(
        examples=["The capital of France is"]
    )
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    best_of: int | None = Field(None, description="No more than `n`")
    suffix: str | None = Field(
        None, description="What comes behind the gap, for models that can fill it in; `prompt` is text then"
    )
    echo: bool | None = Field(None, description="Begin with the prompt, which must be text then")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    keep_alive: KeepAlive = KEEP_ALIVE

    @model_validator(mode="before")
    @classmethod
    def _read_logprobs(cls, body: Any) -> Any:
        """A number here, which is how many alternatives are told."""
        if isinstance(body, dict) and type(count := body.get("logprobs")) is int:
            return body | {"logprobs": True, "top_logprobs": count}
        return body

    @property
    def prompts(self) -> list[Prompt]:
        """The validator has made a list of everything."""
        return [each if isinstance(each, str) else tuple(each) for each in list[Any](self.prompt)]

    def refuse_unsupported(self) -> None:
        """Raises ParameterError for the first thing that would be ignored."""
        for name, value in (self.model_extra or {}).items():
            if value not in (None, "") and name not in _LABELS:
                raise UnsupportedParameter(name, f"“{name}” is not known here. Leave it out.")
        if self.suffix and not all(isinstance(each, str) for each in self.prompts):
            raise ParameterError("suffix", "“suffix” needs a “prompt” that is text.")
        if (self.best_of or 1) > (self.n or 1):
            raise UnsupportedParameter("best_of", "“best_of” is not supported beyond “n”: ask for all of them.")
        if self.echo and (self.logprobs or not all(isinstance(each, str) for each in self.prompts)):
            raise ParameterError("echo", "“echo” repeats prompts that are text, and no log-probabilities of them.")

    def to_generation(self, prompt: Prompt, owner: str, answering: Answering | None = None) -> GenerationRequest:
        """Raises ParameterError. `answering`: whose defaults count for what the request does not say."""
        sampling = self.to_sampling(answering.defaults.sampling if answering is not None else None)
        if sampling.max_tokens is None and self.limit is None:
            sampling = structs.replace(sampling, max_tokens=self.usual_tokens)
        return GenerationRequest(
            messages=(),
            prompt=None if self.suffix else prompt,
            gap=Gap(prefix=str(prompt), suffix=self.suffix) if self.suffix else None,
            sampling=sampling,
            owner=owner,
            priority=Priority.API,
            adapters=answering.adapters if answering is not None else (),
        )


@router.post(
    "/completions",
    summary="Go on with a text",
    response_class=JSONResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "A `text_completion`, or its chunks"}},
)
async def create_completion(body: CompletionRequest, request: Request, application: App, owner: Owner) -> Response:
    """The prompt is read as it is, without the chat template; control tokens in it count as such."""
    return await answer_completion(body, request, application, owner)


async def answer_completion(
    body: CompletionRequest, request: Request, application: Application, owner: str, *, says: Says = TextCompletion
) -> Response:
    """Also for dialects that add something to OpenAI's: `says` makes its words."""
    question = ask_completion(body, application, owner, says=says)
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    return await respond(request, question, stream=bool(body.stream), include_usage=include_usage)


def ask_completion(
    body: CompletionRequest,
    application: Application,
    owner: str,
    *,
    says: Says = TextCompletion,
    change: Change = as_it_is,
) -> Question:
    """Raises what is wrong with the body, before a model is loaded for it."""
    body.refuse_unsupported()
    name = None if body.model in {None, "", "default"} else body.model
    asking = _Asking(body, owner, says, change)
    answers = [
        application.models.generate(partial(asking.build, index), model=name, keep_alive=body.keep_alive)
        for index in range(asking.num_choices)
    ]
    return Question(answers, asking.words)


class _Asking:
    """One request on its way to whoever answers it: `n` choices for each prompt, one prompt behind the other."""

    def __init__(self, body: CompletionRequest, owner: str, says: Says, change: Change) -> None:
        self._body = body
        self._owner = owner
        self._says = says
        self._change = change
        self._answering: Answering | None = None
        self._prompts = body.prompts
        self._num_each = body.n or 1
        self._model = ""
        self.num_choices = len(self._prompts) * self._num_each
        body.to_generation(self._prompts[0], owner)  # what is wrong shows before a model is loaded for it

    def build(self, index: int, answering: Answering) -> GenerationRequest:
        self._answering = answering
        prompt, number = divmod(index, self._num_each)
        generation = self._body.to_generation(self._prompts[prompt], self._owner, answering)
        return self._change(vary(generation, number + 1)[number])

    def words(self) -> Words:
        """Called after the first event: only then it is certain who answers."""
        if self._answering is None:
            raise RuntimeError("nobody answers yet")
        echoes = [str(prompt) if self._body.echo else "" for prompt in self._prompts for _ in range(self._num_each)]
        return self._says(self._answering, echoes, self._num_each)
