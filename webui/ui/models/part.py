"""What the parts of the Models page and of a model's sheet have in common: an element to speak through, the
application, and subscriptions that end with the page. It knows nothing of models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nicegui import background_tasks
from nicegui.element import Element

from webui.core.application import Application
from webui.core.signal import Signal
from webui.errors import GlasshouseError

Json = dict[str, Any]
T = TypeVar("T")


class Part:
    """One tab's worth of a larger element. The browser's `receive(news)` merges what `send` gives."""

    def __init__(self, element: Element, application: Application) -> None:
        self._element = element
        self._app = application
        self._stops: list[Callable[[], None]] = []

    def close(self) -> None:
        for stop in self._stops:
            stop()

    def watch(self, signal: Signal[T], listener: Callable[[T], None]) -> None:
        """Call `listener` until the page is gone."""
        self._stops.append(signal.subscribe(listener))

    def soon(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Do something for the page in the background; several of one name that wait become one."""
        background_tasks.create_lazy(work, name=f"{name} for {self._element.client.id}")

    def send(self, **news: Any) -> None:
        self._element.run_method("receive", news)

    async def attempt(self, place: str, change: Awaitable[object]) -> bool:
        """Do what was asked; False after saying at `place` (a model's id, or a name) why it did not work."""
        try:
            await change
        except GlasshouseError as error:
            self.send(error={"place": place, "text": error.message})
            return False
        return True
