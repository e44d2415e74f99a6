"""Where a model was fetched from, and whether a newer file is there now. The hub is asked only when somebody presses."""

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
        element.on("lookForUpdate", self._on_look)

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
            update = await self._app.hub.update_of(model_id)
        except GlasshouseError as error:
            self.tell(model_id, overview={"update": {"words": error.message}})
        else:
            self.tell(model_id, overview={"update": view_update(update)})


def view_update(update: ModelUpdate | None) -> Json:
    if update is None or update.is_gone:
        return {"words": "This file is not there any more."}
    if update.has_newer:
        return {"words": "There is a newer file. Delete this one to fetch it under Discover."}
    return {"words": "This is the newest."}
