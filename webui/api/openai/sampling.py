"""How the next token is chosen and which form the answer must have, in the words of OpenAI's and llama.cpp's APIs.

Ranges that are the engine's are checked there, in the same words for every door; here stand the types, and the ranges
that OpenAI gives.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from webui.api.errors import ParameterError
from webui.types import Grammar, SamplingParams

LARGEST_COUNT = 2**31 - 1  #: of the engine; JSON knows no end
MAX_STOP_STRINGS = 16
MAX_TOP_LOGPROBS = 20

Count = Annotated[int, Field(ge=-1, le=LARGEST_COUNT)]
Positive = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]


def _is_limit(count: int) -> int:
    if count == 0:
        raise PydanticCustomError("limit", "Input should be 1 or more, or -1: as far as the context reaches")
    return count


Limit = Annotated[int, Field(ge=-1, le=LARGEST_COUNT), AfterValidator(_is_limit)]


class JsonSchemaFormat(BaseModel):
    """OpenAI's wrapping of a JSON schema. The schema is kept to in any case, with `strict` and without."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """The form that the answer must have."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    def to_grammar(self) -> Grammar | None:
        if self.type == "json_schema":
            if self.json_schema is None or self.json_schema.schema_ is None:
                raise ParameterError("response_format", "response_format needs its “json_schema” with a “schema”.")
            return Grammar(kind="json_schema", source=json.dumps(self.json_schema.schema_))
        if self.json_schema is not None:
            raise ParameterError("response_format", "“json_schema” needs the response_format type “json_schema”.")
        return Grammar(kind="json_object") if self.type == "json_object" else None


class SamplerFields(BaseModel):
    """How tokens are chosen, in the words that all of OpenAI's routes share. Null means "not given"."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=LARGEST_COUNT)] | None = Field(None, description="0 switches it off")
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-1, lt=2**63)] | None = Field(None, description="-1: random")
    stop: str | Annotated[list[str], Field(max_length=MAX_STOP_STRINGS)] | None = None

    repeat_last_n: Count | None = Field(None, description="Tokens that the penalties see; -1: the whole answer")
    typical_p: float | None = Field(None, description="1 switches it off")
    top_n_sigma: float | None = Field(None, description="0 or less switches it off")
    dry_multiplier: float | None = Field(None, description="0 switches it off")
    dry_base: float | None = None
    dry_allowed_length: Count | None = None
    dry_penalty_last_n: Count | None = None
    dry_sequence_breakers: list[str] | None = None
    xtc_probability: float | None = Field(None, description="0 switches it off")
    xtc_threshold: float | None = None
    mirostat: Literal[0, 1, 2] | None = Field(None, description="Takes the place of top_k, top_p and min_p")
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    dynatemp_range: float | None = Field(None, description="0 switches it off")
    dynatemp_exponent: float | None = None
    logit_bias: dict[Annotated[int, Field(ge=0, le=LARGEST_COUNT)], float] | None = Field(
        None, description="Token ids, and what is added to their logits: -100 to 100"
    )
    ignore_eos: bool | None = Field(None, description="The model may not end the answer itself")

    def fill_params(
        self, defaults: SamplingParams | None, *, max_tokens: int | None, logprobs: int | None, form: Grammar | None
    ) -> SamplingParams:
        """Our parameters; what was not given is as in `defaults`, the model's own."""
        base = SamplingParams() if defaults is None else defaults
        given = self.model_dump(include=_AS_THEY_ARE, exclude_none=True)
        if given.get("seed") == -1:
            del given["seed"]
        if self.stop is not None:
            stop = (self.stop,) if isinstance(self.stop, str) else self.stop
            given["stop"] = tuple(text for text in stop if text)
        if self.logit_bias is not None:
            given["logit_bias"] = tuple(self.logit_bias.items())
        if self.dry_sequence_breakers is not None:
            given["dry_sequence_breakers"] = tuple(self.dry_sequence_breakers)
        return msgspec.structs.replace(
            base,
            **given,
            max_tokens=base.max_tokens if max_tokens is None else max_tokens,
            logprobs=logprobs,
            grammar=form,
        )


class SamplingFields(SamplerFields):
    """The parameters of a completion that become `SamplingParams`."""

    max_tokens: Limit | None = Field(None, description="-1: as far as the context reaches")
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = Field(None, description="Tell the log-probability of every token")
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    grammar: str | None = Field(None, description="The answer's form in llama.cpp's notation, GBNF")

    def to_sampling(self, defaults: SamplingParams | None = None) -> SamplingParams:
        """Our parameters. Raises ParameterError for a bad combination."""
        params = self.fill_params(defaults, max_tokens=self.limit, logprobs=self._num_logprobs(), form=self._form())
        return msgspec.structs.replace(params, max_tokens=None) if self.limit == -1 else params

    @property
    def limit(self) -> int | None:
        """Of the answer, in tokens; -1: as far as the context reaches."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def _num_logprobs(self) -> int | None:
        if self.top_logprobs and not self.logprobs:
            raise ParameterError("top_logprobs", "top_logprobs needs “logprobs”: true.")
        return (self.top_logprobs or 0) if self.logprobs else None

    def _form(self) -> Grammar | None:
        grammar = self.response_format.to_grammar() if self.response_format is not None else None
        if not self.grammar:
            return grammar
        if grammar is not None:
            raise ParameterError("grammar", "An answer has one form: give either response_format or grammar.")
        return Grammar(kind="gbnf", source=self.grammar)


_AS_THEY_ARE = set(SamplingParams.__struct_fields__) & set(SamplerFields.model_fields) - {
    "stop", "dry_sequence_breakers", "logit_bias",
}  # fmt: skip
