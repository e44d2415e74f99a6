"""How a model is wanted when it is loaded, from everything that has a say in it, and how long it stays.

The order: what the request asks for, the preset, the model's own defaults, the flags, the settings dialog; what nobody
says is the planner's (which asks the doctor's measurements first). It knows values, not what is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from webui.config import Settings
from webui.core.model_choice import Choice
from webui.core.planning import Target
from webui.errors import UnknownModel
from webui.library.catalog import Catalog
from webui.store.preferences import Preferences
from webui.types import KvType

_log = logging.getLogger(__name__)

_OF_LOADING = ("ctx", "gpu_layers", "kv_type", "flash_attention", "draft_model")


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What one request to load a model says about how; None: nothing."""

    ctx: int | None = None
    gpu_layers: int | None = None
    kv_type: KvType | None = None


NOTHING_ASKED = AskedFor()


class LoadWishes:
    """`catalog` gives the present one, in which draft models are looked up."""

    def __init__(self, settings: Settings, preferences: Preferences, catalog: Callable[[], Catalog]) -> None:
        self._settings = settings
        self._preferences = preferences
        self._catalog = catalog

    async def target(self, choice: Choice, asked: AskedFor = NOTHING_ASKED) -> Target:
        """What to load for a choice, and how."""
        defaults, settings, chosen = choice.defaults, self._settings, self._preferences.get()
        if choice.model.kind in {"embedding", "rerank"}:
            return Target(choice.model, gpu_layers=_first(asked.gpu_layers, defaults.gpu_layers, settings.gpu_layers))
        return Target(
            choice.model,
            ctx=_first(asked.ctx, defaults.ctx, settings.ctx, chosen.ctx),
            gpu_layers=_first(asked.gpu_layers, defaults.gpu_layers, settings.gpu_layers, chosen.gpu_layers),
            kv_type=asked.kv_type or defaults.kv_type,
            flash_attention=defaults.flash_attention,
            chat_template=defaults.chat_template,
            draft_model=await self._draft(defaults.draft_model),
        )

    def keep_alive(self, choice: Choice, *, is_page: bool, guest_seconds: float) -> float:
        """Seconds that the model stays when nobody uses it, negative for ever; a request may say otherwise."""
        own = choice.defaults.keep_alive
        if own is None:
            own = self._settings.idle_seconds
        return own if own is not None else -1.0 if is_page else guest_seconds

    async def _draft(self, name: str | None) -> Path | Literal["none"] | None:
        if not name:
            return None if name is None else "none"
        try:
            return (await self._catalog().find(name)).path
        except UnknownModel:
            _log.warning("The draft model %s is not there any more", name)
            return None


def is_same(loaded: Target, wanted: Target) -> bool:
    """Whether both load the same file in the same way; what people call it has nothing to do with that."""
    one, other = loaded.model, wanted.model
    is_file = (one.id, one.path, one.size_bytes) == (other.id, other.path, other.size_bytes)
    return is_file and replace(loaded, model=other) == wanted


def serves(choice: Choice, wanted: Target) -> Callable[[Target], bool]:
    """Whether a model that is loaded in some way will do for a choice: with its template, and what a preset insists
    on. A model's own defaults count when it is loaded, and do not load it anew."""
    insists = [name for name in _OF_LOADING if getattr(choice.insists, name) is not None]

    def is_served(loaded: Target) -> bool:
        return loaded.chat_template == wanted.chat_template and all(
            getattr(loaded, name) == getattr(wanted, name) for name in insists
        )

    return is_served


def _first(*said: int | None) -> int | None:
    return next((each for each in said if each is not None), None)
