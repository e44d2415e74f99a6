"""The page for programs: what each has to be told to use this server, and a test that really asks.

One element beside the chat in the page's frame; it sends nothing until somebody looks (event `look`).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from nicegui import background_tasks
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.core.connect import Client, Place, find_client, find_place, load_clients, render, try_here
from webui.core.connect.place import YOUR_KEY
from webui.errors import GlasshouseError
from webui.ui.components import COMPONENTS

CONNECT_TITLE = "Connect · Glasshouse"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
_KEY_LENGTH = 400


class ConnectPage(Element, component=COMPONENTS / "connect_page.js"):
    """One per page."""

    def __init__(self, application: Application, request: Request) -> None:
        super().__init__()
        self._app = application
        self._clients = load_clients()
        self._asked_url = _asked_url(request)
        self._address = request.client.host if request.client else ""
        self._model: str | None = None
        self._key = ""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._props["initial"] = {}
        self.on("look", self._on_look)
        self.on("choose", self._on_choose)
        self.on("test", self._on_test)
        self.on("stop", self._on_stop)

    def _handle_delete(self) -> None:
        for task in self._running.values():
            task.cancel()
        super()._handle_delete()

    async def _on_look(self) -> None:
        models = [model for model in await self._app.models.models() if model.kind == "chat" and not model.problem]
        self._send(models=[{"id": model.id, "name": model.name} for model in models])
        await self._tell_place()

    async def _on_choose(self, event: GenericEventArguments) -> None:
        """Another model, or another key, for everything that is shown and tried."""
        self._model = str(event.args["model"]) or None
        self._key = str(event.args["key"]).strip()[:_KEY_LENGTH]
        await self._tell_place()

    async def _tell_place(self) -> None:
        place = await self._find_place()
        if place is not None:
            shown = place if not self._key else _with_key(place, self._key)
            self._send(
                place={
                    "address": place.base_url,
                    "model": place.model,
                    "keyWords": place.key_words,
                    "needsKey": place.key == YOUR_KEY,
                },
                clients=[_view_client(client, shown) for client in self._clients],
            )

    async def _find_place(self) -> Place | None:
        try:
            return await find_place(self._app.settings, self._app.models, asked_url=self._asked_url, model=self._model)
        except GlasshouseError as error:  # a model that has gone meanwhile
            self._model = None
            self._send(error=error.message)
            return None

    # --- the test --------------------------------------------------------------------------------------------------

    def _on_test(self, event: GenericEventArguments) -> None:
        client = find_client(str(event.args), self._clients)
        self._stop(client.id)
        self._running[client.id] = background_tasks.create(self._test(client), name=f"try what {client.id} asks")

    def _on_stop(self, event: GenericEventArguments) -> None:
        self._stop(str(event.args))

    def _stop(self, client_id: str) -> None:
        if task := self._running.pop(client_id, None):
            task.cancel()

    async def _test(self, client: Client) -> None:
        try:
            place = await self._find_place()
            if place is None:
                return
            steps = try_here(client, self._app.wire, place, key=self._key, address=self._address)
            async with aclosing(steps):
                async for step in steps:
                    told = {"use": step.use, "title": step.title, "state": step.state, "words": step.words}
                    self._send(step={"id": client.id, **told, "seconds": step.seconds})
        except GlasshouseError as error:
            self._send(error=error.message)
        finally:
            self._send(ended=client.id)

    def _send(self, **news: Any) -> None:
        self.run_method("receive", news)


def _view_client(client: Client, place: Place) -> dict[str, Any]:
    configuration = render(client, place)
    return {
        "id": client.id,
        "name": client.name,
        "kind": client.kind,
        "speaks": client.speaks,
        "uses": client.uses,
        "source": client.source,
        "paste": [{"where": each.where, "language": each.language, "text": each.text} for each in configuration.paste],
        "hints": [hint for hint in configuration.hints if hint != place.key_words],  # that one is over all of them
    }


def _with_key(place: Place, key: str) -> Place:
    return Place(
        base_url=place.base_url,
        model=place.model,
        context_tokens=place.context_tokens,
        key=key,
        key_words="The key that you gave is in the text above.",
        is_loopback=place.is_loopback,
    )


def _asked_url(request: Request) -> str | None:
    """Under which address a browser on another machine has come; None: from this machine."""
    url = str(request.base_url)
    return None if urlsplit(url).hostname in _LOOPBACK_NAMES else url
