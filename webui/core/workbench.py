"""The jobs that change model files: one at a time, each in a process of its own, seen by everybody.

Jobs belong to the application: a page that is closed or loaded again changes nothing. It knows the queue and where
results go; what a job does is the workbench process's, and what an order means `work_orders`'.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import msgspec
from msgspec import structs

from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.core.work_child import COMMAND, run_in_child
from webui.core.work_folder import WorkFolder, remove_leftovers
from webui.core.work_job import WorkJob
from webui.core.work_orders import FileOrder, OrderDesk
from webui.errors import GlasshouseError, UnknownJob, WorkFailed
from webui.library.catalog import Catalog
from webui.workbench.protocol import AnyOutcome, Estimate, Estimated, Estimates, FileRequest, Request, Split, Written

_log = logging.getLogger(__name__)

_MAX_REMEMBERED = 50


class Workbench:
    """`changed` gets every new form of a job; `on_complete` runs when a model file was made."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        models_dir: Path,
        *,
        on_complete: Callable[[], None] = lambda: None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.changed: Signal[WorkJob] = Signal()
        self._models_dir = models_dir
        self._desk = OrderDesk(catalog, models_dir)
        self._on_complete = on_complete
        self._command = command
        self._jobs: dict[str, WorkJob] = {}
        self._requests: dict[str, Request] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks = OwnedTasks()
        self._turn = asyncio.Lock()

    @property
    def jobs(self) -> tuple[WorkJob, ...]:
        """In the order in which they were asked for."""
        return tuple(self._jobs.values())

    def job(self, job_id: str) -> WorkJob:
        """Raises UnknownJob."""
        job = self._jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job

    async def open(self) -> None:
        """Remove what a server that was killed has left."""
        await asyncio.to_thread(remove_leftovers, self._models_dir)

    async def close(self) -> None:
        """End what runs; what is unfinished is removed."""
        await self._tasks.close()

    # --- asking ----------------------------------------------------------------------------------------------------

    async def start(self, order: FileOrder) -> WorkJob:
        """Put a job that makes a model file at the end of the queue. Raises UnknownModel, UnknownAdapter, FileExists
        and whatever else is wrong with the order; what only the files can tell comes with the job."""
        taken = {job.result_name for job in self.jobs if not job.has_ended}
        request, title, model_id = await self._desk.prepare(order, taken)
        return self.enqueue(request, title=title, model_id=model_id)

    async def estimate(self, orders: Sequence[FileOrder]) -> tuple[Estimated, ...]:
        """What each of these would write, in one go and at once, whatever the queue does."""
        requests = [(await self._desk.prepare(order, frozenset()))[0] for order in orders]
        outcome = await run_in_child(Estimate(of=tuple(requests)), lambda _, __: None, command=self._command)
        if not isinstance(outcome, Estimates):
            raise WorkFailed("the sizes could not be reckoned")
        return outcome.items

    def enqueue(self, request: Request, *, title: str, model_id: str = "") -> WorkJob:
        """Put any request at the end of the queue."""
        job = WorkJob(
            id=secrets.token_urlsafe(9),
            kind=str(msgspec.to_builtins(request)["kind"]),
            title=title,
            created_at=time.time(),
            model_id=model_id,
            result_name=_result_name(request),
        )
        self._jobs[job.id] = job
        self._forget_old()
        self._running[job.id] = self._tasks.start(self._run(job.id, request))
        self.changed.emit(job)
        return job

    async def cancel(self, job_id: str) -> WorkJob:
        """End a job that waits or runs; nothing is left of it. One that has ended stays as it is. Raises UnknownJob."""
        job = self.job(job_id)
        task = self._running.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        return self._jobs.get(job_id, job)

    def dismiss(self, job_id: str) -> None:
        """Take a job that has ended off the list; one that has not is left. Raises UnknownJob."""
        if self.job(job_id).has_ended:
            del self._jobs[job_id]

    # --- working ---------------------------------------------------------------------------------------------------

    async def _run(self, job_id: str, request: Request) -> None:
        """A job's whole life. It ends in exactly one of done, failed and cancelled."""
        try:
            async with self._turn:
                self._change(job_id, state="running", words="Starting")
                if isinstance(request, FileRequest):
                    await self._make_file(job_id, request)
                else:
                    outcome = await self._run_child(job_id, request)
                    self._change(job_id, state="done", progress=1.0, words="", outcome=outcome)
        except asyncio.CancelledError:
            self._change(job_id, state="cancelled", words="")
        except GlasshouseError as error:
            self._change(job_id, state="failed", words="", error=error.message, error_code=error.code)
        except Exception as error:  # noqa: BLE001 - the edge of a job: it must end in words, and the log has the rest
            _log.exception("A job failed")
            failure = WorkFailed(str(error) or type(error).__name__)
            self._change(job_id, state="failed", words="", error=failure.message, error_code=failure.code)
        finally:
            self._running.pop(job_id, None)

    async def _make_file(self, job_id: str, request: FileRequest) -> None:
        is_folder = isinstance(request, Split)
        folder = WorkFolder(self._models_dir, job_id, folder_name=_result_name(request) if is_folder else None)
        try:
            await self._tasks.finish(asyncio.to_thread(folder.create))
            placed = structs.replace(request, output_dir=str(folder.output_dir))
            outcome = cast("Written", await self._run_child(job_id, placed))
            self._running.pop(job_id, None)  # from here on it cannot be cancelled: the file is there, or it is not
            path = await self._tasks.finish(asyncio.to_thread(folder.publish, outcome))
        finally:
            await self._tasks.finish(asyncio.to_thread(folder.remove))
        self._change(job_id, state="done", progress=1.0, words="", outcome=outcome, result_path=path)
        self._on_complete()

    async def _run_child(self, job_id: str, request: Request) -> AnyOutcome:
        def on_progress(fraction: float, words: str) -> None:
            self._change(job_id, progress=fraction, words=words)

        return await run_in_child(request, on_progress, command=self._command)

    def _change(self, job_id: str, **changes: object) -> None:
        job = self._jobs[job_id] = structs.replace(self._jobs[job_id], **changes)
        self.changed.emit(job)

    def _forget_old(self) -> None:
        """Of those that have ended only the last ones stay on the list."""
        ended = [job.id for job in self.jobs if job.has_ended]
        for job_id in ended[: max(0, len(self._jobs) - _MAX_REMEMBERED)]:
            del self._jobs[job_id]


def _result_name(request: Request) -> str:
    if not isinstance(request, FileRequest):
        return ""
    return request.file_name.removesuffix(".gguf") if isinstance(request, Split) else request.file_name
