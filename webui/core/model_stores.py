"""Models of other programs (Ollama, LM Studio, Jan, the Hugging Face cache): offered, never taken unasked.

A person switches a program's store on, or says that it need not be offered again; both are remembered. Nothing is ever
written there. It knows preferences and the catalog's renewal; where stores lie is `library/store_places`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from webui.core.signal import Signal
from webui.library.elsewhere import find_stores
from webui.store.preferences import Preferences
from webui.types import ModelStore, StoreKind


class ModelStores:
    """`renew` makes the catalog look into the stores that are switched on; `changed` says that the list is another."""

    def __init__(self, preferences: Preferences, renew: Callable[[], None]) -> None:
        self.changed: Signal[None] = Signal()
        self._preferences = preferences
        self._renew = renew

    async def list(self) -> list[ModelStore]:
        """The stores on this machine with something in them, and what was decided about each."""
        chosen = self._preferences.get()
        return [
            msgspec.structs.replace(
                store,
                is_used=store.kind in chosen.model_stores,
                is_offered=store.kind not in (*chosen.model_stores, *chosen.declined_stores),
            )
            for store in await asyncio.to_thread(find_stores)
        ]

    async def choose(self, kind: StoreKind, *, is_used: bool) -> None:
        """Use a program's models from now on, or do not (and do not offer them again)."""
        chosen = self._preferences.get()
        used = tuple(each for each in chosen.model_stores if each != kind)
        declined = tuple(each for each in chosen.declined_stores if each != kind)
        if is_used:
            used += (kind,)
        else:
            declined += (kind,)
        await self._preferences.set(model_stores=used, declined_stores=declined)
        self._renew()
        self.changed.emit(None)
