"""One load of a model that several callers wait for.

It knows how to share an outcome; what loading means is the model manager's.
"""

from __future__ import annotations

import asyncio

from webui.core.engine import Engine
from webui.core.planning import Target
from webui.store.preferences import PreferenceChanges


class Abandoned(Exception):
    """The load was given up for another one (`is_replaced`) or because of an unload."""

    def __init__(self, *, is_replaced: bool) -> None:
        super().__init__()
        self.is_replaced = is_replaced


class ModelLoad:
    """A target and the one outcome that everybody who waits for it gets."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.choice: PreferenceChanges | None = (
            None  #: what to remember once it is loaded; None when a request merely needed the model
        )
        self.may_start = asyncio.Event()  #: set when no running answer stands in the way any more
        self.task: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        # Nobody may be left to hear of a failure; asyncio would complain about that.
        self._outcome.add_done_callback(lambda outcome: outcome.cancelled() or outcome.exception())

    async def wait(self) -> Engine:
        """The started engine, or the error; cancelling this wait leaves the load alone."""
        return await asyncio.shield(self._outcome)

    def succeed(self, engine: Engine) -> None:
        if not self._outcome.done():
            self._outcome.set_result(engine)

    def fail(self, error: Exception) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def abandon(self, *, is_replaced: bool) -> None:
        """End it: those who wait hear it at once, the half-started engine is stopped by the load's own task."""
        self.fail(Abandoned(is_replaced=is_replaced))
        if self.task is not None:
            self.task.cancel()
