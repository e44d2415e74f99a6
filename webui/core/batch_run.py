"""One batch on its way: its input is checked, its requests are answered a few at a time, its files are published.

Nothing is lost on a kill: answers are written as they come, and what is written is not asked again. What stands in the
way for a while (a full disk, a model that died or was unloaded) is waited for. It knows no endpoint and no status code:
that is for whoever answers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from webui.core.batch_input import BatchInput, Line, take
from webui.core.batch_output import NO_USAGE, BatchOutput, add_usage, usage_of
from webui.core.files import Files, explaining
from webui.errors import (
    BatchOver,
    DiskFull,
    EngineBusy,
    EngineDied,
    EngineStopped,
    GlasshouseError,
    LoadOvertaken,
    StoreFailed,
    UnknownFile,
)
from webui.library.upload import to_its_end
from webui.store.batches import OPEN_STATES, Batch, BatchMistake, BatchState, BatchStore
from webui.store.files import StoredFile

DEATHS = 3  #: of the engine that one request may cost
RETRY_SECONDS = 20.0  #: after something that passes: a full disk, a model that a person unloaded
_SLICE = 64  # lines read at a time

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one request, as its endpoint would have given it: a status code and a JSON object."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Answerer(Protocol):
    """Whoever knows the endpoints."""

    async def answer(self, endpoint: str, body: bytes, owner: str) -> Answered:
        """Raises GlasshouseError."""

    def refuse(self, endpoint: str, error: GlasshouseError) -> Answered: ...


class BatchRun:
    """`batch` is always true; `changed` is awaited with it whenever it comes into another state."""

    def __init__(
        self,
        batch: Batch,
        *,
        files: Files,
        store: BatchStore,
        answerer: Answerer,
        places: asyncio.Semaphore,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
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
        self._outputs: dict[str, BatchOutput] = {}

    async def cancel(self) -> None:
        """What is answered by now is kept. Raises BatchOver when there is nothing left to cancel, or StoreFailed."""
        if not await self._enter("cancelling", only_from=("validating", "in_progress", "cancelling")):
            raise BatchOver(self.batch.id, self.batch.state)
        self._cancelled.set()

    async def run(self) -> None:
        """To its end; cancelling this leaves the rest for the next start."""
        try:
            if self.batch.state == "validating":
                await self._validate()
            if self.batch.is_open:
                await self._patiently(self._open_outputs)
                await self._publish(*await self._answer_until_over())
        finally:
            for output in self._outputs.values():
                output.close()

    # --- its states ------------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        try:
            await self._files.get(self.batch.owner, self.batch.input_file_id)
            num_lines, mistakes = await asyncio.to_thread(self._input.check)
        except (UnknownFile, OSError):
            num_lines, mistakes = 0, [_missing_input()]
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
                return "failed", (BatchMistake(code="internal_error", message=_CANNOT_GO_ON),)
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
        files = []
        for file_id, kind in ((self.batch.output_id, "output"), (self.batch.error_id, "error")):
            output = self._outputs[file_id]
            if output.size_bytes:
                with explaining(self._files.path_of(file_id), 0):
                    await to_its_end(asyncio.to_thread(output.sync))
                files.append(self._written_file(file_id, kind, output.size_bytes))
        written = {file.id for file in files}
        await self._enter(
            state,
            files=files,
            has_output=self.batch.output_id in written,
            has_errors=self.batch.error_id in written,
            mistakes=mistakes,
        )
        for file_id in {self.batch.output_id, self.batch.error_id} - written:
            self._files.path_of(file_id).unlink(missing_ok=True)

    def _written_file(self, file_id: str, kind: str, size_bytes: int) -> StoredFile:
        now, seconds = self._clock(), self.batch.output_seconds
        return StoredFile(
            id=file_id,
            owner=self.batch.owner,
            purpose="batch_output",
            name=f"{self.batch.id}_{kind}.jsonl",
            size_bytes=size_bytes,
            created_at=now,
            expires_at=None if seconds is None else now + seconds,
        )

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

    # --- its requests ----------------------------------------------------------------------------------------------

    async def _open_outputs(self) -> None:
        for file_id in {self.batch.output_id, self.batch.error_id} - set(self._outputs):
            path = self._files.path_of(file_id)
            with explaining(path, 0):
                self._outputs[file_id] = await to_its_end(asyncio.to_thread(BatchOutput, path))
        self._count()

    @property
    def _done(self) -> set[str]:
        return set().union(*(output.done for output in self._outputs.values()))

    def _count(self) -> None:
        output, errors = self._outputs[self.batch.output_id], self._outputs[self.batch.error_id]
        usage = add_usage(output.usage, errors.usage)
        self._change(num_completed=len(output.done), num_failed=len(errors.done), usage=usage)

    async def _answer_all(self) -> None:
        with closing(self._input.lines(self._done)) as lines:
            await self._answer_each(lines)

    async def _answer_each(self, lines: Iterator[Line]) -> None:
        async with asyncio.TaskGroup() as group:
            while some := await to_its_end(asyncio.to_thread(take, lines, _SLICE)):
                for line in some:
                    await self._places.acquire()
                    # Not in the task: one that is cancelled before it begins would keep its place.
                    group.create_task(self._answer(line)).add_done_callback(lambda _: self._places.release())

    async def _answer(self, line: Line) -> None:
        answered = await self._ask(line)
        request_id = f"batch_req_{self.batch.id.removeprefix('batch_')}_{line.number}"
        response = {"status_code": answered.status, "request_id": request_id, "body": msgspec.Raw(answered.body)}
        record = {"id": request_id, "custom_id": line.custom_id, "response": response, "error": None}
        file_id = self.batch.output_id if answered.is_success else self.batch.error_id
        await self._write(file_id, line.custom_id, record, answered)

    async def _ask(self, line: Line) -> Answered:
        """The answer, or why there is none. What passes is waited for, and an engine that dies gets another chance."""
        batch, num_deaths = self.batch, 0
        for waited in itertools.count():
            try:
                return await self._answerer.answer(batch.endpoint, line.body, batch.owner)
            except (EngineBusy, EngineStopped, LoadOvertaken) as error:
                _log.debug("A request of %s waits (%s), for the %d. time", batch.id, error.code, waited + 1)
            except EngineDied as error:
                num_deaths += 1
                if num_deaths == DEATHS:
                    return self._answerer.refuse(batch.endpoint, error)
            except GlasshouseError as error:
                return self._answerer.refuse(batch.endpoint, error)
            except Exception:  # noqa: BLE001 - the edge of a request: the others must go on
                _log.exception("A request of the batch %s failed", batch.id)
                return self._answerer.refuse(batch.endpoint, GlasshouseError(_UNEXPECTED))
            await self._pause(RETRY_SECONDS)
        raise AssertionError("counting does not end")

    async def _write(self, file_id: str, custom_id: str, record: object, answered: Answered | None) -> None:
        line = msgspec.json.encode(record)
        usage = usage_of(answered.body) if answered is not None else NO_USAGE

        async def write_once() -> None:
            with explaining(self._files.path_of(file_id), len(line)):
                await to_its_end(asyncio.to_thread(self._outputs[file_id].append, custom_id, line, usage))

        async with self._writing:
            await self._patiently(write_once)
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

    async def _give_up_rest(self) -> None:
        """Those that nobody got to say so."""
        error = {"code": "batch_expired", "message": "This request was not done before the batch expired."}
        for line in await to_its_end(asyncio.to_thread(lambda: list(self._input.lines(self._done)))):
            request_id = f"batch_req_{self.batch.id.removeprefix('batch_')}_{line.number}"
            record = {"id": request_id, "custom_id": line.custom_id, "response": None, "error": error}
            await self._write(self.batch.error_id, line.custom_id, record, None)


_UNEXPECTED = "Something went wrong inside Glasshouse. The server's log says what; the request can be tried again."

_CANNOT_GO_ON = "The batch could not go on; the server's log says why. What was answered by then is kept."


def _missing_input() -> BatchMistake:
    return BatchMistake(code="unknown_file", message="The input file is not there any more.", param="input_file_id")
