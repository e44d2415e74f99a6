"""The page of API requests: a list that streams in, one request beside it, and that request sent again.

It sends nothing until somebody looks (event `look`, every two seconds while the page is visible), and nothing at all to
who may not see what others ask; that API requests are being recorded is said to everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from nicegui import background_tasks
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.exchange import Exchange
from webui.core.inspector import is_allowed
from webui.errors import GlasshouseError
from webui.ui.components import COMPONENTS
from webui.ui.inspect_detail import DetailFeed, view_row

INSPECT_TITLE = "Requests · Glasshouse"
_WATCHED_SECONDS = 6.0
_FLUSH_SECONDS = 0.15
_MAX_OPEN = 2  # a request, and what came of sending it again


class InspectPage(Element, component=COMPONENTS / "inspect_page.js"):
    """One per page."""

    def __init__(self, application: Application, owner: str) -> None:
        super().__init__()
        self._inspector = application.inspector
        self._may_look = is_allowed(owner, application.settings)
        self._looked_at = float("-inf")
        self._news: set[int] = set()
        self._feeds: dict[int, DetailFeed] = {}
        self._stops: list[Callable[[], None]] = [
            self._inspector.switched.subscribe(lambda is_on: self._send(isOn=is_on))
        ]
        self._props["initial"] = {
            "isOn": self._inspector.is_on,
            "mayLook": self._may_look,
            "maxRequests": self._inspector.max_exchanges,
            "maxBytes": self._inspector.max_bytes,
        }
        if not self._may_look:
            return
        self._stops += [
            self._inspector.changed.subscribe(self._on_news),
            self._inspector.emptied.subscribe(lambda _: self._on_emptied()),
        ]
        self.on("look", self._on_look)
        self.on("switch", self._on_switch)
        self.on("clear", self._inspector.clear)
        self.on("open", self._on_open)
        self.on("replay", self._on_replay)
        self.on("stop", lambda event: self._inspector.stop(int(event.args)))

    def _handle_delete(self) -> None:
        for stop in self._stops:
            stop()
        super()._handle_delete()

    @property
    def _is_watched(self) -> bool:
        return time.monotonic() - self._looked_at < _WATCHED_SECONDS

    # --- what the browser asks ---------------------------------------------------------------------------------------

    def _on_look(self) -> None:
        if not self._is_watched:
            self._send(isOn=self._inspector.is_on, rows=[view_row(each) for each in self._inspector.exchanges])
        self._looked_at = time.monotonic()

    async def _on_switch(self, event: GenericEventArguments) -> None:
        await self._inspector.switch(bool(event.args))

    def _on_open(self, event: GenericEventArguments) -> None:
        """Follow these requests, and no others any more."""
        self._feeds = {}
        for number in list(event.args)[:_MAX_OPEN]:
            try:
                self._feeds[int(number)] = DetailFeed(self._inspector.get(int(number)))
            except GlasshouseError as error:
                self._send(error=error.message)
        self._send(details=[feed.first() for feed in self._feeds.values()])

    def _on_replay(self, event: GenericEventArguments) -> None:
        body = event.args.get("body")
        try:
            self._inspector.replay(int(event.args["id"]), None if body is None else str(body))
        except GlasshouseError as error:
            self._send(error=error.message)

    # --- what there is to tell ---------------------------------------------------------------------------------------

    def _on_news(self, exchange: Exchange) -> None:
        if not self._is_watched:
            return
        if not self._news:
            background_tasks.create(self._flush(), name="news for a page of requests")
        self._news.add(exchange.id)

    async def _flush(self) -> None:
        """All news of a moment together."""
        await asyncio.sleep(_FLUSH_SECONDS)
        news, self._news = self._news, set()
        kept = {each.id: each for each in self._inspector.exchanges}
        rows = [view_row(kept[number]) for number in sorted(news) if number in kept]
        grown = [self._feeds[number].more() for number in news if number in self._feeds]
        self._send(rows=rows, oldest=min(kept, default=0), grown=grown)

    def _on_emptied(self) -> None:
        self._feeds = {}
        self._news.clear()
        self._send(isEmptied=True)

    def _send(self, **news: Any) -> None:
        self.run_method("receive", news)
