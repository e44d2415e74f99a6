"""One batch on its way: its input is checked, its requests are answered a few at a time, its files are published.

Nothing is lost on a kill: answers are written as they come, and what is written is not asked again. A full disk is
waited for, and the batch says so meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

import msgspec

from webui.core.batch_asking import RETRY_SECONDS, Answerer, Pause, ask
from webui.core.batch_input import BatchInput, Line, take
from webui.core.batch_record import BatchRecord
from webui.core.files import Files
from webui.errors import BatchOver, DiskFull, StoreFailed, UnknownFile
from webui.library.upload import to_its_end
from webui.store.batches import OPEN_STATES, Batch, BatchMistake, BatchState, BatchStore
from webui.store.files import StoredFile

_SLICE = 64  # lines read at a time
_LATE = "This request was not done before the batch expired."
_MISSING = BatchMistake(code="unknown_file", message="The input file is not there any more.", param="input_file_id")
_BROKEN = BatchMistake(
    code="internal_error",
    message="The batch could not go on; the server's log says why. What was answered by then is kept.",
)

T = TypeVar("T")

_log = logging.getLogger(__name__)


class BatchRun:
    """`batch` is always true."""

    def __init__(
        self,
        batch: Batch,
        *,
        files: Files,
        store: BatchStore,
        answerer: Answerer,
        places: asyncio.Semaphore,
        clock: Callable[[], float],
        pause: Pause = asyncio.sleep,
    ) -> None:
        """`places`: requests that all batches together have on their way."""
        self.batch = batch
        self._files = files
        self._store = store
        self._answerer = answerer
        self._places = places
        self._clock = clock
        self._pause = pause
        self._cancelled = asyncio.Event()
        self._entering, self._writing = asyncio.Lock(), asyncio.Lock()
        self._input = BatchInput(files.path_of(batch.input_file_id), batch.endpoint)
        self._record = BatchRecord(batch, files)

    async def cancel(self) -> None:
        """What is answered by now is kept. Raises BatchOver when there is nothing left to cancel, or StoreFailed."""
        if not await self._enter("cancelling", only_from=("validating", "in_progress", "cancelling")):
            raise BatchOver(self.batch.id, self.batch.state)
        self._cancelled.set()

    async def run(self) -> None:
        """To its end; cancelling this leaves the rest for the next start."""
        with self._files.hold(self.batch.input_file_id, self.batch.id), closing(self._record):
            if self.batch.state == "validating":
                await self._validate()
            if self.batch.is_open:
                await self._patiently(self._record.open)
                self._count()
                await self._publish(*await self._answer_until_over())

    # --- its states ------------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        try:
            await self._files.get(self.batch.owner, self.batch.input_file_id)
            num_lines, mistakes = await asyncio.to_thread(self._input.check)
        except (UnknownFile, OSError):
            num_lines, mistakes = 0, [_MISSING]
        self._change(num_total=num_lines)
        state: BatchState = "failed" if mistakes else "in_progress"
        await self._patiently(lambda: self._enter(state, only_from=("validating",), mistakes=tuple(mistakes)))

    async def _answer_until_over(self) -> tuple[BatchState, tuple[BatchMistake, ...]]:
        """How it ended, and what was wrong. Requests that are on their way when it does are given up."""
        if self.batch.state == "cancelling":
            return "cancelled", ()
        work = asyncio.create_task(self._answer_all())
        cancelled = asyncio.create_task(self._cancelled.wait())
        seconds = max(0.0, self.batch.expires_at - self._clock())
        try:
            await asyncio.wait({work, cancelled}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and (error := work.exception()) is not None:
                _log.error("The batch %s cannot go on", self.batch.id, exc_info=error)
                return "failed", (_BROKEN,)
            if work.done():
                return "completed", ()
        finally:
            for task in (work, cancelled):
                task.cancel()
            await asyncio.wait({work, cancelled})
        if self._cancelled.is_set():
            return "cancelled", ()
        await self._give_up_rest()
        return "expired", ()

    async def _publish(self, state: BatchState, mistakes: tuple[BatchMistake, ...]) -> None:
        """What was written becomes files for others, together with the end of the batch."""
        is_first: tuple[BatchState, ...] = ("in_progress", "finalizing")
        if not await self._patiently(lambda: self._enter("finalizing", only_from=is_first)):
            state = "cancelled"  # in the last moment
        await self._patiently(lambda: self._publish_once(state, mistakes))

    async def _publish_once(self, state: BatchState, mistakes: tuple[BatchMistake, ...]) -> None:
        files = await self._record.sync(self._clock())
        written = {file.id for file in files}
        batch = self.batch
        has_output, has_errors = batch.output_id in written, batch.error_id in written
        await self._enter(state, files=files, has_output=has_output, has_errors=has_errors, mistakes=mistakes)
        for file_id in {batch.output_id, batch.error_id} - written:
            self._files.path_of(file_id).unlink(missing_ok=True)

    async def _enter(
        self,
        state: BatchState,
        *,
        only_from: tuple[BatchState, ...] = OPEN_STATES,
        files: Sequence[StoredFile] = (),
        **changes: object,
    ) -> bool:
        """False when it is in another state meanwhile. Known to others only once it is kept."""
        async with self._entering:
            if self.batch.state not in only_from:
                return False
            times = {**self.batch.times, state: self._clock()}
            changed = msgspec.structs.replace(self.batch, state=state, times=times, **changes)
            await self._store.save(changed, files)
            self.batch = changed
            return True

    def _change(self, **changes: object) -> None:
        self.batch = msgspec.structs.replace(self.batch, **changes)

    def _count(self) -> None:
        counts = self._record.counts
        self._change(num_completed=counts.num_completed, num_failed=counts.num_failed, usage=counts.usage)

    # --- its requests ----------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        with closing(self._input.lines(self._record.done)) as lines:
            await self._answer_each(lines)

    async def _answer_each(self, lines: Iterator[Line]) -> None:
        async with asyncio.TaskGroup() as group:
            while some := await to_its_end(asyncio.to_thread(take, lines, _SLICE)):
                for line in some:
                    await self._places.acquire()
                    # Not in the task: one that is cancelled before it begins would keep its place.
                    group.create_task(self._answer(line)).add_done_callback(lambda _: self._places.release())

    async def _answer(self, line: Line) -> None:
        answered = await ask(self._answerer, self.batch, line.body, self._pause)
        await self._keep(partial(self._record.keep_answer, line, answered))

    async def _give_up_rest(self) -> None:
        """Those that nobody got to say so."""
        for line in await to_its_end(asyncio.to_thread(lambda: list(self._input.lines(self._record.done)))):
            await self._keep(partial(self._record.keep_failure, line, "batch_expired", _LATE))

    async def _keep(self, write: Callable[[], Awaitable[None]]) -> None:
        async with self._writing:
            await self._patiently(write)
            self._count()

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """A full disk is waited for, and the batch says so meanwhile."""
        while True:
            try:
                done = await work()
            except (DiskFull, StoreFailed) as error:
                _log.warning("The batch %s waits: %s", self.batch.id, error.message)
                self._change(mistakes=(BatchMistake(code=error.code, message=error.message),))
                await self._pause(RETRY_SECONDS)
            else:
                if self.batch.mistakes and self.batch.is_open:
                    self._change(mistakes=())
                return done
