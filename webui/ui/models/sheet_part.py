"""One tab of a model's sheet: it speaks of the model that the sheet shows now, and only of that."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from nicegui.element import Element

from webui.core.application import Application
from webui.errors import GlasshouseError
from webui.types import ModelFile
from webui.ui.models.part import Json, Part


@dataclass(slots=True)
class Shown:
    """The model whose sheet is open on this page; None while none is."""

    model: ModelFile | None = None

    @property
    def model_id(self) -> str | None:
        return self.model.id if self.model else None


class SheetPart(Part):
    """A part that says with everything which model it means, so that the browser drops what comes too late."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application)
        self._shown = shown

    def tell(self, model_id: str, **news: Any) -> None:
        """Say something about a model, if its sheet is still the one that is open."""
        if model_id == self._shown.model_id:
            self.send(id=model_id, **news)

    async def attempt_for(self, model_id: str, place: str, change: Awaitable[object]) -> bool:
        """Do what was asked; False after saying at `place` of the sheet why it did not work."""
        try:
            await change
        except GlasshouseError as error:
            self.tell(model_id, error={"place": place, "text": error.message})
            return False
        return True

    async def first(self, model: ModelFile) -> Json:
        """What the tab begins with when the sheet is opened."""
        return {}

    def leave(self) -> None:
        """The sheet is closed, or shows another model now."""
