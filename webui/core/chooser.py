"""Which chat model is meant, and how it is to be loaded: by name, or for the page when nothing is loaded.

It knows names, what was chosen before and what has a say in loading; it does not know what is in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from webui.config import Settings
from webui.core.load_wishes import NOTHING_ASKED, AskedFor, LoadWishes
from webui.core.model_choice import ModelNames
from webui.core.page_model import Wanted
from webui.core.planning import choose_default
from webui.errors import ContextTooLarge, UnknownModel, UnsupportedModel
from webui.store.preferences import PreferenceChanges, Preferences

_log = logging.getLogger(__name__)


class Chooser:
    """Remembers what the page had last, so that it comes back after an unload or a crash."""

    def __init__(self, names: ModelNames, wishes: LoadWishes, preferences: Preferences, settings: Settings) -> None:
        self._names = names
        self._wishes = wishes
        self._preferences = preferences
        self._settings = settings
        self._last: tuple[str, AskedFor] | None = None  # the page's, and how it was asked for

    async def want(self, name: str, asked: AskedFor = NOTHING_ASKED) -> Wanted:
        """Raises UnknownModel, and UnsupportedModel for what is made for something else than chat."""
        choice = await self._names.find(name)
        if choice.model.kind in {"embedding", "rerank"} and choice.model.problem is None:
            raise UnsupportedModel(choice.model.name, "it is made for search and embeddings, not for writing")
        return Wanted(choice, await self._wishes.target(choice, asked))

    async def select(self, name: str, asked: AskedFor) -> tuple[Wanted, Callable[[], Awaitable[None]]]:
        """What a person loads, and what remembers it once it is loaded. Raises as `want`, and ContextTooLarge for more
        context than the model was trained for."""
        wanted = await self.want(name, asked)
        model = wanted.choice.model
        if asked.ctx is not None and 0 < model.context_train < asked.ctx:
            raise ContextTooLarge(model.name, asked.ctx, model.context_train)
        changes = PreferenceChanges(model_id=wanted.choice.name)
        if asked.ctx is not None:
            changes["ctx"] = asked.ctx
        if asked.gpu_layers is not None:
            changes["gpu_layers"] = asked.gpu_layers

        async def remember() -> None:
            self._last = (wanted.choice.name, asked)
            await self._preferences.set(**changes)

        return wanted, remember

    def note_first(self, model_id: str) -> None:
        """Nobody chose, and this came; it is what comes again."""
        if self._last is None:
            self._last = (model_id, NOTHING_ASKED)

    async def choose(self) -> Wanted:
        """What the page gets when nothing is loaded: its last model, the one that `--model` names, the one that was
        chosen before a restart, or the only one (else NoModel)."""
        if self._last is not None:
            try:
                return await self.want(*self._last)
            except UnknownModel:
                self._last = None
        if self._settings.model is not None:
            return await self.want(self._settings.model)
        chosen = self._preferences.get().model_id
        if chosen is not None:
            try:
                return await self.want(chosen)
            except UnknownModel:
                _log.warning("The chosen model is not there any more")
        return await self.want(choose_default(await self._names.list()).id)
