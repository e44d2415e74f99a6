"""`GET /props` and `GET /slots`: how the page's model answers, and what its scheduler has in hand."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request

from webui import __version__
from webui.api.dependencies import App, get_stopping
from webui.api.hangup import run_while_connected
from webui.api.llama_server.completion import MEDIA_MARKER
from webui.core.alive import AliveModel
from webui.core.application import Application
from webui.engine.protocol import ListSlots, SlotList
from webui.errors import EngineError, NoModel, UnknownModel
from webui.types import SamplingParams

_SHOWN = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")

router = APIRouter()


class NoFreeSlot(EngineError):
    code = "no_free_slot"

    def __init__(self) -> None:
        super().__init__("Every slot of this model is in use. A request waits until one is free.")
        self.details = {}


@router.get("/props", summary="How the page's model answers")
async def get_props(application: App) -> dict[str, Any]:
    """`n_ctx` is the longest conversation. Raises NoModel while none is loaded."""
    page = _find_loaded(application, None)
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
        "media_marker": MEDIA_MARKER,
        "chat_template": defaults.chat_template or details.chat_template or "",
        "build_info": f"glasshouse-{__version__}",
    }


@router.get("/slots", summary="What the scheduler has in hand")
async def list_slots(
    request: Request,
    application: App,
    model: Annotated[str | None, Query(description="A loaded model; absent: the page's")] = None,
    fail_on_no_slot: Annotated[bool, Query(description="503 where no slot is free")] = False,
) -> list[dict[str, Any]]:
    """One entry for each slot of a loaded model: whether somebody computes in it, and what it holds. Nothing of what
    was said. Nothing is loaded for this."""
    loaded = _find_loaded(application, model)
    work = application.models.probe(ListSlots(), model=loaded.model.id)
    found = cast("SlotList", await run_while_connected(request.receive, get_stopping(request), work))
    if fail_on_no_slot and all(each.is_processing for each in found.slots):
        raise NoFreeSlot
    return [
        {
            "id": each.id,
            "n_ctx": loaded.context_tokens,
            "is_processing": each.is_processing,
            "is_paused": each.is_paused,
            "n_tokens": each.num_tokens,
            "n_prompt_tokens": each.num_prompt_tokens,
            "n_prompt_tokens_processed": min(each.num_computed_tokens, each.num_prompt_tokens),
            "n_prompt_tokens_cache": each.num_cached_tokens,
            "n_decoded": each.num_decoded_tokens,
            "priority": each.priority,
        }
        for each in found.slots
    ]


def _find_loaded(application: Application, name: str | None) -> AliveModel:
    """Raises NoModel, or UnknownModel for one that is not in memory."""
    for alive in application.models.alive:
        if alive.state == "ready" and alive.num_slots and (alive.is_page if name is None else alive.model.id == name):
            return alive
    if name is not None:
        raise UnknownModel(name)
    raise NoModel
