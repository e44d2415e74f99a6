"""The Models page: all models of this machine, the hub's, and what is on its way here.

One element beside the chat in the page's frame. It sends nothing until somebody looks (event `look`, every two seconds
while the page is visible, with `true` for a new look into the folders), and stops when nobody looks any more.
"""

from __future__ import annotations

import time
from typing import Any

from nicegui import background_tasks
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.ui.components import COMPONENTS
from webui.ui.models.discover import DiscoverPart
from webui.ui.models.downloads import DownloadsPart
from webui.ui.models.part import Part
from webui.ui.models.places import PlacesPart
from webui.ui.models.yours import YoursPart

MODELS_TITLE = "Models · Glasshouse"
_WATCHED_SECONDS = 6.0


class ModelsPage(Element, component=COMPONENTS / "models_page.js"):
    """One per page."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._app = application
        self._looked_at = float("-inf")
        self._yours = YoursPart(self, application)
        self._places = PlacesPart(self, application)
        self._discover = DiscoverPart(self, application)
        self._downloads = DownloadsPart(self, application)
        self._parts: list[Part] = [self._yours, self._places, self._discover, self._downloads]
        self._props["initial"] = {"folder": str(application.settings.models_dir)}
        self._ready: frozenset[str] = frozenset()
        self._yours.watch(application.models.changed, lambda _: self._on_running())
        self._yours.watch(application.models.alive_changed, lambda _: self._on_running())
        self._yours.watch(application.downloads.changed, lambda _: self._send_if_watched(self._downloads.view_jobs))
        self._yours.watch(application.models.catalog_changed, lambda _: self._refresh())
        self._yours.watch(application.records.changed, lambda _: self._refresh())
        self._yours.watch(application.stores.changed, lambda _: self._refresh())
        self.on("look", self._on_look)
        self.on("token", self._on_token)

    def _handle_delete(self) -> None:
        for part in self._parts:
            part.close()
        super()._handle_delete()

    @property
    def _is_watched(self) -> bool:
        return time.monotonic() - self._looked_at < _WATCHED_SECONDS

    def _send_if_watched(self, view: Any) -> None:
        if self._is_watched:
            self._yours.send(**view())

    def _on_running(self) -> None:
        self._send_if_watched(self._yours.view_running)
        ready = frozenset(each.model.id for each in self._app.models.alive if each.state == "ready")
        if ready != self._ready:  # what fits changes with what is in memory
            self._ready = ready
            self._refresh()

    def _refresh(self) -> None:
        if self._is_watched:
            background_tasks.create_lazy(self._yours.send_models(), name=f"models for {self.client.id}")

    async def _on_look(self, event: GenericEventArguments) -> None:
        is_new = not self._is_watched
        self._looked_at = time.monotonic()
        now = await self._yours.view_now()
        self._yours.send(**now, **self._downloads.view_jobs())
        if event.args:
            if is_new:
                self._yours.forget_sent()
            await self._yours.send_models()
            await self._places.send_places()

    async def _on_token(self, event: GenericEventArguments) -> None:
        """Keep an access token for the hub, and try again what asked for it."""
        await self._app.hub.set_token(str(event.args["token"]) or None)
        match event.args["then"]:
            case {"repo": repo}:
                await self._discover.send_variants(str(repo))
            case {"reference": reference}:
                await self._downloads.fetch(str(reference))
            case {"job": job_id}:
                await self._downloads.act(str(job_id), "resume")
