"""Deletes and renames the files of models, with what is kept about them. It knows who must be asked to let go first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from webui.core.model_choice import ModelNames
from webui.core.model_records import ModelRecords
from webui.core.signal import Signal
from webui.errors import CannotRename, InvalidDefault
from webui.library.catalog import Catalog
from webui.library.rename import rename_model
from webui.store.model_values import ModelPreset
from webui.store.preferences import Preferences
from webui.types import ModelFile


class ModelFiles:
    """`changed` tells that the list of models is another one."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        names: ModelNames,
        records: ModelRecords,
        preferences: Preferences,
        *,
        is_alive: Callable[[str], bool],
        unload: Callable[[str], Awaitable[None]],
    ) -> None:
        """`is_alive` says whether a model (by its id) is in memory or on its way there; `unload` ends that."""
        self.changed: Signal[None] = Signal()
        self._catalog = catalog
        self._names = names
        self._records = records
        self._preferences = preferences
        self._is_alive = is_alive
        self._unload = unload

    async def delete(self, name: str) -> None:
        """Delete a model's file with what is kept about it, unloading it first. Raises UnknownModel or CannotDelete."""
        model = (await self._names.find(name)).model
        if model.can_delete and self._is_alive(model.id):
            await self._unload(model.id)
        await self._catalog().delete(model.id)
        chosen = self._preferences.get().model_id
        preset = self._records.preset(chosen) if chosen is not None else None
        if chosen == model.id or (preset is not None and preset.model_id == model.id):
            await self._preferences.set(model_id=None)
        await self._records.forget(model)
        self.changed.emit(None)

    async def save_preset(self, preset: ModelPreset, model: str) -> ModelPreset:
        """Keep a preset of the named model. Raises UnknownModel, InvalidDefault for a name that a model has, and what
        `ModelRecords.save_preset` raises."""
        base = (await self._names.find(model)).model
        names = {each.id.casefold() for each in await self._catalog().scan()}
        if preset.name.strip().casefold() in names:
            raise InvalidDefault("name", "a model is called like this already, and a request would mean that one")
        return await self._records.save_preset(preset, base)

    async def rename(self, name: str, file_name: str) -> ModelFile:
        """Give a model's file another name in its folder. Raises UnknownModel, CannotRename for a file that is not
        Glasshouse's or in use, InvalidFileName, FileExists or RenameFailed."""
        model = (await self._names.find(name)).model
        if not model.can_delete:
            raise CannotRename(model.name, "it is not in the models folder, and Glasshouse changes files only there")
        if self._is_alive(model.id):
            raise CannotRename(model.name, "it is loaded. Unload it first")
        path = await asyncio.to_thread(rename_model, model.path, file_name)
        models = await self._catalog().scan()
        renamed = next((each for each in models if each.path == path), model)
        await self._records.move(model, renamed)
        if self._preferences.get().model_id == model.id:
            await self._preferences.set(model_id=renamed.id)
        self.changed.emit(None)
        return self._names.choice(renamed).model
