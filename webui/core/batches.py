"""Batches: files full of requests that are answered while nobody else asks, also after a restart.

It owns the running ones and hands out places, a few requests at a time for all batches together, in turns. How one
batch runs is `batch_run`'s; what its requests mean, the answerer's, who comes when the wire is there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

from webui.core.batch_asking import Answerer, Pause
from webui.core.batch_run import BatchRun
from webui.core.files import Files, new_file_id
from webui.core.tasks import OwnedTasks
from webui.errors import BatchOver, EngineBusy, FileTooLarge, InvalidRequest, UnknownBatch
from webui.store.batches import Batch, BatchStore

REQUESTS_AT_ONCE = 4  #: of all batches together
MAX_OPEN = 64  #: batches that are not over
MAX_INPUT_BYTES = 200_000_000  #: as much as OpenAI takes


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What is asked for."""

    endpoint: str
    input_file_id: str
    completion_window: str  #: as it was asked for
    seconds: float  #: the same
    metadata: dict[str, str] = field(default_factory=dict)
    output_seconds: float | None = None


class Batches:
    """Each owner sees only their own."""

    def __init__(
        self,
        store: BatchStore,
        files: Files,
        *,
        clock: Callable[[], float] = time.time,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._pause = pause
        self._places = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._tasks = OwnedTasks()
        self._runs: dict[str, BatchRun] = {}
        self._waiting: list[Batch] = []  # from an earlier run, until somebody answers
        self._answerer: Answerer | None = None

    async def open(self) -> set[str]:
        """The ids of files that batches which are not over read and write."""
        self._waiting = await self._store.open()
        ids = ((batch.input_file_id, batch.output_id, batch.error_id) for batch in self._waiting)
        return {file_id for of_one in ids for file_id in of_one}

    async def close(self) -> None:
        """What is not done goes on at the next start."""
        await self._tasks.close()

    def serve(self, answerer: Answerer) -> None:
        """From now on requests are answered; those of an earlier run first. Does nothing the second time."""
        if self._answerer is not None:
            return
        self._answerer = answerer
        for batch in self._waiting:
            self._start(batch, answerer)
        self._waiting = []

    # --- what is asked ---------------------------------------------------------------------------------------------

    async def create(self, owner: str, order: BatchOrder) -> Batch:
        """Begin one. What is wrong with its lines shows soon after, in its `mistakes`. Raises UnknownFile,
        InvalidRequest, FileTooLarge, EngineBusy."""
        if self._answerer is None:
            raise RuntimeError("nobody answers yet")
        file = await self._files.get(owner, order.input_file_id)
        if file.purpose != "batch":
            raise InvalidRequest(f"The file {file.id} was sent for “{file.purpose}”. Send it again for “batch”.")
        if file.size_bytes > MAX_INPUT_BYTES:
            raise FileTooLarge(MAX_INPUT_BYTES)
        if len(self._runs) >= MAX_OPEN:
            raise EngineBusy(retry_after=60)
        now = self._clock()
        batch = Batch(
            id=f"batch_{secrets.token_hex(12)}",
            owner=owner,
            endpoint=order.endpoint,
            input_file_id=file.id,
            completion_window=order.completion_window,
            created_at=now,
            expires_at=now + order.seconds,
            output_id=new_file_id(),
            error_id=new_file_id(),
            metadata=order.metadata,
            output_seconds=order.output_seconds,
        )
        await self._store.add(batch)
        return self._start(batch, self._answerer).batch

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Raises UnknownBatch, also for somebody else's."""
        found = await self._store.get(owner, batch_id)
        if found is None:
            raise UnknownBatch(batch_id)
        return self._newest(found)

    async def page(self, owner: str, *, limit: int, after: str | None = None) -> list[Batch]:
        """The newest first, those behind the one with the id `after`."""
        cursor = None if after is None else await self.get(owner, after)
        return [self._newest(each) for each in await self._store.page(owner, limit=limit, after=cursor)]

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """What is answered by now is kept. Raises UnknownBatch or BatchOver."""
        batch = await self.get(owner, batch_id)
        run = self._runs.get(batch_id)
        if run is None:
            raise BatchOver(batch_id, batch.state)
        await run.cancel()
        return run.batch

    async def cancel_all(self, owner: str) -> None:
        """Of somebody who may not ask any more; what is answered by now is kept."""
        for run in [run for run in self._runs.values() if run.batch.owner == owner]:
            with suppress(BatchOver):
                await run.cancel()

    # --- the running ones ------------------------------------------------------------------------------------------

    def _newest(self, batch: Batch) -> Batch:
        """As its run knows it: counts are not written to the database with each answer."""
        run = self._runs.get(batch.id)
        return run.batch if run is not None else batch

    def _start(self, batch: Batch, answerer: Answerer) -> BatchRun:
        run = self._runs[batch.id] = BatchRun(
            batch,
            files=self._files,
            store=self._store,
            answerer=answerer,
            places=self._places,
            clock=self._clock,
            pause=self._pause,
        )
        # In a context of its own: it belongs to no request, not to that which made it either.
        task = Context().run(self._tasks.start, run.run())
        task.add_done_callback(lambda _: self._runs.pop(batch.id, None))
        return run
