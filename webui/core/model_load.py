"""One load of a model that several callers wait for.

It knows how to share an outcome; what loading means is for the pool and the model manager to say.
"""

from __future__ import annotations

import asyncio

from webui.core.live_model import LiveModel
from webui.core.planning import Target


class Abandoned(Exception):
    """The load was given up for another one (`is_replaced`) or because of an unload."""

    def __init__(self, *, is_replaced: bool) -> None:
        super().__init__()
        self.is_replaced = is_replaced


class ModelLoad:
    """A target and the one outcome that everybody who waits for it gets."""

    def __init__(self, target: Target, *, is_urgent: bool = False, replaces: LiveModel | None = None) -> None:
        """A load that is urgent waits for nobody's answer to end; `replaces` goes in any case."""
        self.target = target
        self.is_urgent = is_urgent
        self.replaces = replaces
        self.num_waiting = 0
        self.waits_for_room = True  #: until its engine is about to start
        self.task: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[LiveModel] = asyncio.get_running_loop().create_future()
        # Nobody may be left to hear of a failure; asyncio would complain about that.
        self._outcome.add_done_callback(lambda outcome: outcome.cancelled() or outcome.exception())

    @property
    def id(self) -> str:
        return self.target.model.id

    @property
    def is_done(self) -> bool:
        return self._outcome.done()

    async def wait(self) -> LiveModel:
        """The model, loaded, or the error. Cancelling this wait leaves the load to others who wait; a load that still
        waits for room and that nobody wants any more ends."""
        self.num_waiting += 1
        try:
            return await asyncio.shield(self._outcome)
        finally:
            self.num_waiting -= 1
            if not self.num_waiting and self.waits_for_room and not self.is_done:
                self.abandon(is_replaced=False)

    def succeed(self, live: LiveModel) -> None:
        if not self._outcome.done():
            self._outcome.set_result(live)

    def fail(self, error: Exception) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def abandon(self, *, is_replaced: bool) -> None:
        """End it: those who wait hear it at once, the half-started engine is stopped by the load's own task."""
        self.fail(Abandoned(is_replaced=is_replaced))
        if self.task is not None:
            self.task.cancel()
