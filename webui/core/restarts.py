"""Starts the model of the page again after a crash, later after each one, and not for ever.

It knows counts and a clock; what starting means is the model manager's. An answer that ends in order, or a person who
loads a model, says that all is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from webui.core.tasks import OwnedTasks

MOST_CRASHES = 5  #: in a row; after so many it stays down until somebody asks for it
FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0


class Restarts:
    """`crashed` after each crash, `succeeded` when all is well, `cancel` when nobody is to be started any more."""

    def __init__(self, tasks: OwnedTasks, *, first_seconds: float = FIRST_SECONDS) -> None:
        self._tasks = tasks
        self._first_seconds = first_seconds
        self._num_crashes = 0
        self._waiting: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """How long it waits now before it starts the model again."""
        return min(MOST_SECONDS, self._first_seconds * 2.0 ** max(0, self._num_crashes - 1))

    def crashed(self, restart: Callable[[], Awaitable[object]]) -> str:
        """Count a crash and call `restart` later, unless there were too many. Returns a sentence for people."""
        self.cancel()
        self._num_crashes += 1
        if self._num_crashes >= MOST_CRASHES:
            return (
                f"It crashed {self._num_crashes} times in a row and is not started again by itself. Load it with a "
                "smaller context or fewer GPU layers, or take another model."
            )
        self._waiting = self._tasks.start(self._restart(restart))
        return f"It is started again in {self.seconds:g} seconds (crash {self._num_crashes} of {MOST_CRASHES})."

    def succeeded(self) -> None:
        self._num_crashes = 0

    def cancel(self) -> None:
        """Somebody loads or unloads a model: there is nothing to start by itself."""
        if self._waiting is not None and self._waiting is not asyncio.current_task():
            self._waiting.cancel()
        self._waiting = None

    async def _restart(self, restart: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(self.seconds)
        await restart()
