"""How a model is used by default, as JSON: what comes in a request, and how it is told again.

A field that is absent stays as it is, null takes it back. Ranges of sampling are those of a chat request.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from webui.api.keep_alive import KEEP_ALIVE, KeepAlive
from webui.api.openai.sampling import SamplingFields
from webui.store.model_values import AdapterSetting, ModelDefaults
from webui.types import FlashAttention, KvType, SamplingParams

_OF_ONE_ANSWER = {"logprobs", "grammar"}  # of SamplingParams: no default of a model


class SamplingBody(SamplingFields):
    """The parameters of `/v1/chat/completions` that a default makes sense for."""

    model_config = ConfigDict(extra="forbid")

    logprobs: Literal[None] = Field(default=None, exclude=True)
    top_logprobs: Literal[None] = Field(default=None, exclude=True)
    response_format: Literal[None] = Field(default=None, exclude=True)
    grammar: Literal[None] = Field(default=None, exclude=True)


class AdapterBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="An adapter of GET /lora-adapters", max_length=300)
    scale: float = 1.0


class DefaultsBody(BaseModel):
    """How a model is used where neither the request nor the chat says otherwise."""

    model_config = ConfigDict(extra="forbid")

    system_prompt: str | None = None
    sampling: SamplingBody | None = None
    adapters: list[AdapterBody] | None = None
    ctx: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(default=None, description="Context in tokens")
    gpu_layers: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = Field(default=None, description="-1: all")
    kv_type: KvType | None = None
    flash_attention: FlashAttention | None = None
    chat_template: str | None = Field(default=None, description="Jinja, in place of the file's own; it is tried first")
    draft_model: str | None = Field(
        default=None, description="Id of the model that guesses ahead; “”: none", max_length=300
    )
    keep_alive: KeepAlive = KEEP_ALIVE

    def change(self, defaults: ModelDefaults) -> ModelDefaults:
        """`defaults` with what is said here."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "sampling" in given and self.sampling is not None:
            given["sampling"] = self.sampling.to_sampling()
        if "adapters" in given:
            given["adapters"] = tuple(AdapterSetting(name=each.id, scale=each.scale) for each in self.adapters or ())
        if "chat_template" in given:
            given["chat_template"] = self.chat_template or None
        return msgspec.structs.replace(defaults, **given)


def view_defaults(defaults: ModelDefaults) -> dict[str, Any]:
    """The same fields again; of sampling only what differs from Glasshouse's own."""
    view: dict[str, Any] = msgspec.to_builtins(defaults)
    view["adapters"] = [{"id": each.name, "scale": each.scale} for each in defaults.adapters]
    view["sampling"] = None if defaults.sampling is None else _view_sampling(defaults.sampling)
    return view


def _view_sampling(sampling: SamplingParams) -> dict[str, Any]:
    plain = SamplingParams()
    view = {
        name: getattr(sampling, name)
        for name in SamplingParams.__struct_fields__
        if name not in _OF_ONE_ANSWER and getattr(sampling, name) != getattr(plain, name)
    }
    if sampling.logit_bias:
        view["logit_bias"] = dict(sampling.logit_bias)
    return view
