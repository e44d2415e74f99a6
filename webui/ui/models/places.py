"""Where models are found: the models folder, further folders, and what other programs have brought to this machine.

The latter is offered on the tab Yours until the person has decided."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import get_args

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.model_folders import ModelFolders
from webui.types import ModelStore, StoreKind
from webui.ui.models.part import Json, Part


class PlacesPart(Part):
    """Counting walks the folders of those programs, so it is done for a new look only."""

    def __init__(self, element: Element, application: Application) -> None:
        super().__init__(element, application)
        self._folders = ModelFolders(application.settings, application.preferences, application.set_extra_dirs)
        element.on("useStore", self._on_use_store)
        element.on("addFolder", self._on_add_folder)
        element.on("removeFolder", self._on_remove_folder)

    async def send_places(self) -> None:
        stores = [view_store(store) for store in await self._app.stores.list()]
        folders: list[Json] = [
            {"path": folder.path, "isFixed": folder.is_fixed, "problem": folder.problem}
            for folder in await self._folders.list()
        ]
        self.send(stores=stores, folders=folders)

    async def _on_use_store(self, event: GenericEventArguments) -> None:
        kind = event.args["kind"]
        if kind in get_args(StoreKind):
            await self._change(f"store-{kind}", self._app.stores.choose(kind, is_used=bool(event.args["isUsed"])))

    async def _on_add_folder(self, event: GenericEventArguments) -> None:
        if await self._change("folder", self._folders.add(str(event.args))):
            self.send(newFolder="")

    async def _on_remove_folder(self, event: GenericEventArguments) -> None:
        await self._change("folder", self._folders.remove(str(event.args)))

    async def _change(self, place: str, change: Awaitable[object]) -> bool:
        is_done = await self.attempt(place, change)
        await self.send_places()
        return is_done


def view_store(store: ModelStore) -> Json:
    return {
        "kind": store.kind,
        "name": store.name,
        "folders": list(store.folders),
        "count": store.num_models,
        "size": store.size_bytes,
        "isUsed": store.is_used,
        "isOffered": store.is_offered,
    }
