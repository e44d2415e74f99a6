"""A model's sheet: everything about one model, in five tabs (`webui/ui/models/`).

One element in the page; the browser says which model it shows (event `show`) and when it is closed (`hide`). What is
loaded, renamed or deleted elsewhere is seen here at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.errors import GlasshouseError, LoadOvertaken, UnknownModel
from webui.types import ModelFile
from webui.ui.components import COMPONENTS
from webui.ui.models.change import ChangePart
from webui.ui.models.compare import ComparePart
from webui.ui.models.defaults import DefaultsPart
from webui.ui.models.details import view_details
from webui.ui.models.doctor import DoctorPart
from webui.ui.models.fit import FitPart, read_wish
from webui.ui.models.origin import OriginPart
from webui.ui.models.part import Json
from webui.ui.models.rows import view_row, view_running
from webui.ui.models.sheet_part import SheetPart, Shown
from webui.ui.models.yours import load_for_person, modified_time

_TITLE_LENGTH = 120
_NOTES_LENGTH = 4000
_MAX_TAGS = 20


class ModelSheet(Element, component=COMPONENTS / "models_sheet.js"):
    """One per page; `openSheet(id)` of the shell opens it."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._app = application
        self._shown = Shown()
        self._cancelled: str | None = None  # the model whose loading was cancelled here: no error to show for it
        self._parts: dict[str, SheetPart] = {
            "overview": OriginPart(self, application, self._shown),
            "fit": FitPart(self, application, self._shown),
            "defaults": DefaultsPart(self, application, self._shown),
            "change": ChangePart(self, application, self._shown),
            "doctor": DoctorPart(self, application, self._shown),
            "compare": ComparePart(self, application, self._shown),
        }
        self._overview = self._parts["overview"]
        self._overview.watch(application.models.changed, lambda _: self._tell_running())
        self._overview.watch(application.models.catalog_changed, lambda _: self._tell_row_soon())
        self._overview.watch(application.models.alive_changed, lambda _: self._tell_running())
        self._overview.watch(application.records.changed, lambda _: self._tell_row_soon())
        self.on("show", self._on_show)
        self.on("hide", self._on_hide)
        self.on("load", self._on_load)
        self.on("unload", self._on_unload)
        self.on("favour", self._on_favour)
        self.on("describe", self._on_describe)
        self.on("remove", self._on_remove)

    def _handle_delete(self) -> None:
        for part in self._parts.values():
            part.close()
        super()._handle_delete()

    # --- from the application to the page --------------------------------------------------------------------------

    async def _on_show(self, event: GenericEventArguments) -> None:
        """The row at once, then what needs the file."""
        model_id = str(event.args)
        self._leave()
        try:
            model = await self._find(model_id)
        except GlasshouseError as error:
            self.run_method("receive", {"id": model_id, "error": {"place": "sheet", "text": error.message}})
            return
        self._shown.model = model
        self._overview.tell(model_id, model=self._view_row(model), tabs=choose_tabs(model), **self._view_running())
        firsts = await asyncio.gather(self._read_details(model), *(part.first(model) for part in self._parts.values()))
        for news in firsts:
            self._overview.tell(model_id, **news)

    async def _find(self, model_id: str) -> ModelFile:
        """By its id alone, under the name that the person gave it."""
        found = next((each for each in await self._app.models.models() if each.id == model_id), None)
        if found is None:
            raise UnknownModel(model_id)
        return found

    async def _read_details(self, model: ModelFile) -> Json:
        if model.problem is not None:
            return {}
        try:
            return {"details": view_details(await self._app.catalog.details(model.id))}
        except GlasshouseError as error:
            return {"error": {"place": model.id, "text": error.message}}

    def _view_row(self, model: ModelFile) -> Json:
        return view_row(model, self._app.records.of(model), modified_at=modified_time(model.path))

    def _view_running(self) -> Json:
        return {
            "running": view_running(self._app.models.status, self._app.models.alive),
            "chosen": self._app.preferences.get().model_id,
        }

    def _tell_running(self) -> None:
        if self._shown.model is not None:
            self._overview.tell(self._shown.model.id, **self._view_running())

    def _tell_row_soon(self) -> None:
        if self._shown.model is not None:
            self._overview.soon(self._tell_row(self._shown.model.id), name="row of the sheet")

    async def _tell_row(self, model_id: str) -> None:
        try:
            model = await self._find(model_id)
        except GlasshouseError:
            self._overview.tell(model_id, isGone=True)
            return
        if self._shown.model_id == model_id:
            self._shown.model = model
            self._overview.tell(model_id, model=self._view_row(model))

    def _on_hide(self) -> None:
        self._leave()

    def _leave(self) -> None:
        self._shown.model = None
        for part in self._parts.values():
            part.leave()

    # --- from the page to the application --------------------------------------------------------------------------

    async def _on_load(self, event: GenericEventArguments) -> None:
        model_id, options = str(event.args["id"]), event.args.get("options")
        self._cancelled = None
        try:
            if event.args.get("isBeside"):
                await self._app.models.load_beside(model_id)
            else:
                await load_for_person(self._app, model_id, **(read_wish(options) if options else {}))
        except LoadOvertaken:
            return
        except GlasshouseError as error:
            if self._cancelled != model_id:
                self._overview.tell(model_id, error={"place": model_id, "text": error.message})

    async def _on_unload(self, event: GenericEventArguments) -> None:
        self._cancelled = str(event.args)
        await self._overview.attempt_for(self._cancelled, self._cancelled, self._app.models.unload(self._cancelled))

    async def _on_favour(self, event: GenericEventArguments) -> None:
        await self._describe(str(event.args["id"]), is_favourite=bool(event.args["isFavourite"]))

    async def _on_describe(self, event: GenericEventArguments) -> None:
        await self._describe(str(event.args["id"]), **read_description(event.args))

    async def _describe(self, model_id: str, **changes: Any) -> None:
        async def describe() -> None:
            await self._app.records.update(await self._app.catalog.find(model_id), **changes)

        if await self._overview.attempt_for(model_id, "describe", describe()):
            self._overview.tell(model_id, saved=True)
            await self._tell_row(model_id)

    async def _on_remove(self, event: GenericEventArguments) -> None:
        model_id = str(event.args)
        if await self._overview.attempt_for(model_id, "remove", self._app.models.delete(model_id)):
            self._overview.tell(model_id, isGone=True)


def read_description(given: Json) -> dict[str, Any]:
    """A title (empty: the file's own name), tags and notes as a browser sends them, no longer than what makes sense."""
    changes: dict[str, Any] = {}
    if "title" in given:
        changes["title"] = str(given["title"]).strip()[:_TITLE_LENGTH] or None
    if "tags" in given:
        tags = (" ".join(str(tag).split())[:40] for tag in given["tags"])
        changes["tags"] = tuple(dict.fromkeys(tag for tag in tags if tag))[:_MAX_TAGS]
    if "notes" in given:
        changes["notes"] = str(given["notes"]).strip()[:_NOTES_LENGTH]
    return changes


def choose_tabs(model: ModelFile) -> Sequence[str]:
    """A broken file can only be looked at and deleted; what is no chat model has no answers to set."""
    if model.problem is not None or model.kind == "adapter":
        return ("overview",)
    if not model.is_chat:
        return ("overview", "change", "doctor")
    return ("overview", "fit", "defaults", "change", "doctor")
