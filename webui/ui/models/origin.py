"""Where a model was fetched from, and whether a newer file is there now: the hub is asked when somebody presses."""

from __future__ import annotations

import asyncio

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.hub import ModelUpdate
from webui.errors import GlasshouseError
from webui.library.hub.origin import read_origin
from webui.types import ModelFile
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown


class OriginPart(SheetPart):
    """Part of the sheet's Overview."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        self._update: ModelUpdate | None = None
        element.on("lookForUpdate", self._on_look)
        element.on("fetchUpdate", self._on_fetch)

    async def first(self, model: ModelFile) -> Json:
        if model.source != "local":
            return {}
        origin = await asyncio.to_thread(read_origin, model.path)
        if origin is None:
            return {}
        words = origin.repo or origin.url
        url = f"{self._app.hub.endpoint}/{origin.repo}" if origin.repo else ""
        return {"overview": {"origin": {"words": words, "url": url, "canLook": bool(origin.repo)}}}

    async def _on_look(self, event: GenericEventArguments) -> None:
        model_id = str(event.args)
        try:
            self._update = await self._app.hub.update_of(model_id)
        except GlasshouseError as error:
            self.tell(model_id, overview={"update": {"words": error.message}})
        else:
            self.tell(model_id, overview={"update": view_update(self._update)})

    async def _on_fetch(self, event: GenericEventArguments) -> None:
        model_id = str(event.args)
        if self._update is None or self._update.model_id != model_id:
            return
        if await self.attempt_for(model_id, model_id, self._app.downloads.start(self._update.reference)):
            words = "On its way: it takes this one's place when it is whole."
            self.tell(model_id, overview={"update": {"words": words}})


def view_update(update: ModelUpdate | None) -> Json:
    if update is None or update.is_gone:
        return {"words": "This file is not there any more."}
    if update.has_newer:
        return {"words": "There is another one now.", "hasNewer": True}
    return {"words": "This is the newest."}
