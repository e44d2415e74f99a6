"""Answers of the Responses API that outlive their request: kept ones, and those that are written in the background.

Who writes an answer, and in which words, is for whoever starts it to say. An answer in the background belongs to the
application: it goes on when its client is gone, until it ends, is cancelled or deleted, or the server stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from webui.core.frame_log import FrameLog
from webui.core.tasks import OwnedTasks
from webui.errors import EngineBusy
from webui.store.responses import ResponseStore

MAX_RUNNING = 64  #: in the background, of everybody together
MAX_RUNNING_OF_OWNER = 16
NUM_LOGS = 16  #: of ended ones, whose events can still be read again
_RETRY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class RunningResponse:
    """One that is written in the background. `log` holds its events as frames, one each."""

    def __init__(self, response_id: str, owner: str, told: Callable[[], dict[str, Any]]) -> None:
        """`told` gives the object as it is by now."""
        self.id = response_id
        self.owner = owner
        self.told = told
        self.log = FrameLog()
        self.is_cancelled = False  #: somebody asked for its end; otherwise a cancelled task means that the server stops
        self.task: asyncio.Task[None] | None = None
        self.has_begun = asyncio.Event()  #: a task that was cancelled before could not keep how it ended

    async def cancel(self) -> None:
        """Its engine stops within one step; returns once how it ended is kept."""
        self.is_cancelled = True
        if self.task is not None:
            await self.has_begun.wait()
            self.task.cancel()
            await asyncio.wait({self.task})


Write = Callable[[RunningResponse], Coroutine[Any, Any, None]]


class Responses:
    """`open` comes before everything else; `close` while engines and database still work."""

    def __init__(self, store: ResponseStore) -> None:
        self.store = store
        self._tasks = OwnedTasks()
        self._running: dict[str, RunningResponse] = {}
        self._ended: OrderedDict[str, RunningResponse] = OrderedDict()

    async def open(self) -> None:
        if num_interrupted := await self.store.close_interrupted():
            _log.warning("%d background responses were cut off when Glasshouse stopped the last time", num_interrupted)
        await self.store.prune()

    async def close(self) -> None:
        await self._tasks.close()

    def check_room(self, owner: str) -> None:
        """Raises EngineBusy when too many are written in the background already."""
        of_owner = sum(each.owner == owner for each in self._running.values())
        if len(self._running) >= MAX_RUNNING or of_owner >= MAX_RUNNING_OF_OWNER:
            raise EngineBusy(retry_after=_RETRY_SECONDS)

    def start(self, response_id: str, owner: str, write: Write, told: Callable[[], dict[str, Any]]) -> RunningResponse:
        """Write one in the background. `write` is cancelled to end it, and has to keep how it ended all the same."""
        running = RunningResponse(response_id, owner, told)
        self._running[response_id] = running
        running.task = self._tasks.start(self._run(running, write))
        return running

    def find(self, response_id: str, owner: str) -> RunningResponse | None:
        """One that is running."""
        return _of_owner(self._running.get(response_id), owner)

    def find_log(self, response_id: str, owner: str) -> FrameLog | None:
        """The events of one that is running, or of one of the last that ended."""
        found = _of_owner(self._running.get(response_id) or self._ended.get(response_id), owner)
        return None if found is None else found.log

    async def delete(self, response_id: str, owner: str) -> None:
        """Raises UnknownResponse. One that is running ends first."""
        if (running := self.find(response_id, owner)) is not None:
            await running.cancel()
        await self.store.delete(response_id, owner)
        self._ended.pop(response_id, None)

    async def cancel_all(self, owner: str) -> None:
        """Of somebody who may not ask any more."""
        for running in [each for each in self._running.values() if each.owner == owner]:
            await running.cancel()

    async def _run(self, running: RunningResponse, write: Write) -> None:
        running.has_begun.set()
        try:
            await write(running)
        finally:
            running.log.close()
            del self._running[running.id]
            self._ended[running.id] = running
            while len(self._ended) > NUM_LOGS:
                self._ended.popitem(last=False)


def _of_owner(running: RunningResponse | None, owner: str) -> RunningResponse | None:
    return running if running is not None and running.owner == owner else None
