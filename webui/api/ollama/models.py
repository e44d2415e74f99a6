"""What is here and what is loaded: `/api/version`, `tags`, `ps` and `show`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from webui.api.dependencies import App
from webui.api.named_models import list_usable
from webui.api.ollama.names import details_of, digest_of, modified_at, plain_name, time_text
from webui.core.alive import AliveModel
from webui.core.application import Application
from webui.core.model_choice import Choice
from webui.errors import ModelTooBig
from webui.library.model_card import Capability, ModelDetails
from webui.types import ModelFile, SamplingParams

#: Clients compare it to know what they may ask for: everything of this version's API that is listed in docs/api.md.
VERSION = "0.13.0"
_FOR_EVER = 292 * 365 * 86400  # seconds; about as far as Ollama's own "never" lies
_CAPABILITIES: dict[Capability, str] = {
    "chat": "completion",
    "tools": "tools",
    "thinking": "thinking",
    "vision": "vision",
    "embedding": "embedding",
    "infill": "insert",
}
_SHOWN = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed")

router = APIRouter()


class ShowRequest(BaseModel):
    model: str = ""
    name: str = Field("", description="The older word for `model`")
    verbose: bool | None = None


@router.head("/version", include_in_schema=False)
@router.get("/version", summary="Ollama's version whose API this is")
async def get_version() -> dict[str, str]:
    return {"version": VERSION}


@router.head("/tags", include_in_schema=False)
@router.get("/tags", summary="The models here")
async def list_models(application: App) -> dict[str, Any]:
    listed = await list_usable(application)
    return {"models": await asyncio.to_thread(lambda: [_entry(name, model) for name, model in listed])}


@router.get("/ps", summary="The models in memory")
async def list_loaded(application: App) -> dict[str, Any]:
    alive = [each for each in application.models.alive if each.state == "ready"]
    return {"models": await asyncio.to_thread(lambda: [_loaded_entry(each, application) for each in alive])}


@router.post("/show", summary="One model")
async def show_model(body: ShowRequest, application: App) -> dict[str, Any]:
    """`<architecture>.context_length` is the context that a conversation here has, not what the model was trained
    with: programs fill it to the brim."""
    choice = await application.models.names.find(plain_name(body.model or body.name))
    details = await application.catalog.details(choice.model.id)
    capabilities = [_CAPABILITIES[each] for each in _CAPABILITIES if each in details.capabilities]
    parameters = _parameters(choice.defaults.sampling)
    shown: dict[str, Any] = {
        "license": details.license,
        "modelfile": _modelfile(choice, parameters),
        "parameters": parameters,
        "template": choice.defaults.chat_template or details.chat_template or "",
        "system": choice.defaults.system_prompt or "",
        "details": details_of(choice.model, choice.model.id if choice.preset is not None else ""),
        "model_info": _info(details, await _usable_context(application, choice.model)),
        "capabilities": capabilities,
        "modified_at": await asyncio.to_thread(modified_at, choice.model),
    }
    return shown


def _entry(name: str, model: ModelFile) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": modified_at(model),
        "size": model.size_bytes,
        "digest": digest_of(name, model),
        "details": details_of(model, model.id if name != model.id else ""),
    }


def _loaded_entry(alive: AliveModel, application: Application) -> dict[str, Any]:
    live = application.models.pool.get(alive.model.id)
    vram = live.footprint.plan.vram_needed if live is not None else 0
    seconds = _FOR_EVER if alive.seconds_left is None else alive.seconds_left
    return {
        "name": alive.model.id,
        "model": alive.model.id,
        "size": alive.memory_bytes + vram,
        "digest": digest_of(alive.model.id, alive.model),
        "details": details_of(alive.model),
        "expires_at": time_text(time.time() + seconds),
        "size_vram": vram,
        "context_length": alive.context_tokens or alive.model.context_train,
    }


async def _usable_context(application: Application, model: ModelFile) -> int:
    """As it is loaded, else as it would be."""
    for alive in application.models.alive:
        if alive.model.id == model.id and alive.context_tokens:
            return alive.context_tokens
    if model.kind != "chat":
        return model.context_train
    try:
        return (await application.models.fit(model.id)).options.context_tokens
    except ModelTooBig:
        return model.context_train


def _info(details: ModelDetails, context: int) -> dict[str, Any]:
    model, family = details.model, details.model.architecture
    return {
        "general.architecture": family,
        "general.basename": model.name,
        "general.parameter_count": model.num_parameters,
        f"{family}.context_length": context,
        f"{family}.block_count": details.num_layers,
        f"{family}.embedding_length": details.embedding_length,
        f"{family}.feed_forward_length": details.feed_forward_length,
        f"{family}.attention.head_count": details.num_heads,
        f"{family}.attention.head_count_kv": details.num_kv_heads,
        f"{family}.vocab_size": details.vocab_size,
        "tokenizer.ggml.model": details.tokenizer,
        "tokenizer.ggml.pre": details.pre_tokenizer,
    }


def _parameters(sampling: SamplingParams | None) -> str:
    """What differs from our own defaults, a line each, in the words of a Modelfile."""
    if sampling is None:
        return ""
    usual = SamplingParams()
    lines = [f"{name:<30} {value}" for name in _SHOWN if (value := getattr(sampling, name)) != getattr(usual, name)]
    if sampling.max_tokens is not None:
        lines.append(f"{'num_predict':<30} {sampling.max_tokens}")
    return "\n".join(lines + [f'{"stop":<30} "{text}"' for text in sampling.stop])


def _modelfile(choice: Choice, parameters: str) -> str:
    lines = [f"FROM {choice.model.id if choice.preset is not None else choice.model.path}"]
    if choice.defaults.system_prompt:
        lines.append(f'SYSTEM """{choice.defaults.system_prompt}"""')
    return "\n".join(lines + [f"PARAMETER {' '.join(each.split(maxsplit=1))}" for each in parameters.splitlines()])
