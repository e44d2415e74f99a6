"""Tasks that belong to the application and not to whoever asked for them.

asyncio keeps only a weak reference to a task, and nobody hears of an error in one that is not awaited: here each is
kept until it ends, and its error is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class OwnedTasks:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it in the background; an error that it raises is logged."""
        task = self._keep(coroutine)
        task.add_done_callback(_log_error)
        return task

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end even when the caller is cancelled, and give the caller its result or error."""
        return await asyncio.shield(self._keep(coroutine))

    async def finish(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Like `run`, but a caller that is cancelled meanwhile stays until it has ended: what comes next may rely on
        that."""
        task = self._keep(coroutine)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def drain(self, timeout_seconds: float) -> None:
        """Wait until all of them, and those that they start, have ended by themselves, but not for longer than this."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _log_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A background task failed", exc_info=error)
