"""Models on their way here: a queue that two transfers work at, each in a process of its own.

It decides what runs, waits, rests and ends. Every job lies on disk from its first moment (`library/hub/job_folder`), so
that what a killed server leaves is found and goes on. It does not know pages, and the bytes never pass through it.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from msgspec import structs

from webui.core.download_job import DownloadJob, DownloadState
from webui.core.download_plan import plan_download
from webui.core.running_download import RunningDownload
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import DiskFull, DownloadStopped, GlasshouseError, ModelFileError, UnknownDownload, WriteFailed
from webui.library.hub.client import HubClient
from webui.library.hub.job_folder import JobFolder, JobRecord, find_jobs
from webui.library.hub.reference import Reference, parse_reference
from webui.library.hub.transfer_order import FileOrder, Order
from webui.library.uploads import FREE_MARGIN_BYTES

__all__ = ["DownloadJob", "DownloadState", "Downloads"]

MAX_PARALLEL = 2
MANNER = Order(files=(), margin_bytes=FREE_MARGIN_BYTES)  #: how patient a transfer is, and what it leaves of the disk
_log = logging.getLogger(__name__)


class Downloads:
    """All downloads into one models folder. `changed` gets each new state of a job, at most four a second for one that
    runs; a job that was cancelled is told a last time and is in `jobs` no more."""

    def __init__(
        self,
        models_dir: Path,
        client: Callable[[], HubClient],
        *,
        on_complete: Callable[[], None] = lambda: None,
        manner: Order = MANNER,
    ) -> None:
        self.changed: Signal[DownloadJob] = Signal()
        self._models_dir = models_dir
        self._client = client
        self._on_complete = on_complete
        self._manner = manner
        self._downloads: dict[str, RunningDownload] = {}
        self._tasks = OwnedTasks()
        self._lock = asyncio.Lock()
        self._is_open = True

    @property
    def jobs(self) -> tuple[DownloadJob, ...]:
        """In the order in which they were asked for, those of earlier runs among them; done ones until `cancel`."""
        return tuple(download.job for download in self._downloads.values())

    def job(self, download_id: str) -> DownloadJob:
        """Raises UnknownDownload."""
        return self._get(download_id).job

    async def open(self) -> None:
        """Find what an earlier run left, and go on with it."""
        for folder in await asyncio.to_thread(find_jobs, self._models_dir):
            if folder.record.state == "publishing":
                await self._finish_publishing(folder)
            else:
                self._downloads[folder.record.id] = RunningDownload(folder, await asyncio.to_thread(folder.part_bytes))
        self._fill()

    async def close(self) -> None:
        """End the transfers; the next run goes on with them."""
        self._is_open = False
        for download in self._downloads.values():
            download.stop()
        await self._tasks.close()

    async def start(self, reference: Reference | str) -> DownloadJob:
        """Ask the hub what it is, and queue it; the same model asked for again is the same job, which goes on.

        Raises HubError (InvalidReference, HubOffline, HubDenied, HubNotFound, HubBusy, HubAnswerUnusable), AlreadyHere,
        FileExists, DiskFull, WriteFailed.
        """
        wanted = parse_reference(reference) if isinstance(reference, str) else reference
        record = await plan_download(wanted, self._client(), self._models_dir)
        async with self._lock:
            known = self._find_same(record)
            if known is None:
                record = self._without_shared_files(record)
                await self._check_space(record.title, record.total_bytes, None)
                folder = JobFolder(self._models_dir, record)
                known = RunningDownload(folder, [0] * len(record.files))
                await self._save(known, record)
                self._downloads[record.id] = known
                self._tell(known)
        self._fill()
        return await self.resume(known.job.id)

    async def pause(self, download_id: str) -> DownloadJob:
        """Stop and keep what came. Raises UnknownDownload; nothing happens to one that has ended."""
        download = self._get(download_id)
        if download.can_be_paused and download.job.state != "paused":
            download.stop()
            download.set_state("paused")
            self._tell(download)
            await self._save(download, structs.replace(download.record, state="paused"))
            self._fill()
        return download.job

    async def resume(self, download_id: str) -> DownloadJob:
        """Queue a paused or failed one again; another one stays as it is. Raises UnknownDownload and DiskFull."""
        download = self._get(download_id)
        if download.job.state in {"paused", "failed"}:
            await self._check_space(download.job.title, download.missing_bytes, download)
            await self._save(download, structs.replace(download.record, state="active", error=None, error_code=None))
            download.set_state("queued")
            self._tell(download)
            self._fill()
        return download.job

    async def cancel(self, download_id: str) -> None:
        """End it and remove what came of it; a done one is only taken off the list. Raises UnknownDownload."""
        download = self._get(download_id)
        del self._downloads[download_id]
        download.stop()
        if download.task is not None:
            await asyncio.wait({download.task})
        try:
            await asyncio.to_thread(download.folder.remove)
        except OSError as error:
            raise _refusal(download.job.title, error) from error
        self._tell(download)
        self._fill()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _get(self, download_id: str) -> RunningDownload:
        download = self._downloads.get(download_id)
        if download is None:
            raise UnknownDownload(download_id)
        return download

    def _unfinished_targets(self) -> dict[str, RunningDownload]:
        """Who is going to write a file of this name; names that differ only in case are one on some systems."""
        unfinished = [each for each in self._downloads.values() if each.job.state != "done"]
        return {file.target.casefold(): download for download in unfinished for file in download.record.files}

    def _find_same(self, record: JobRecord) -> RunningDownload | None:
        """An unfinished download of the same model: two of these would write to one name."""
        return self._unfinished_targets().get(record.files[0].target.casefold())

    def _without_shared_files(self, record: JobRecord) -> JobRecord:
        """The `mmproj` of a repository comes with the first of its variants that is fetched."""
        taken = self._unfinished_targets()
        files = tuple(file for file in record.files if file.target.casefold() not in taken)
        return structs.replace(record, files=files)

    def _tell(self, download: RunningDownload) -> None:
        self.changed.emit(download.job)

    def _fill(self) -> None:
        """Begin what may begin."""
        if not self._is_open:
            return
        num_running = sum(download.task is not None for download in self._downloads.values())
        for download in self._downloads.values():
            if num_running >= MAX_PARALLEL:
                return
            if download.job.state == "queued" and download.task is None:
                num_running += 1
                download.begin()
                download.task = self._tasks.start(self._run(download))

    async def _run(self, download: RunningDownload) -> None:
        try:
            self._tell(download)
            if await self._transfer(download):
                await self._publish(download)
        except GlasshouseError as error:
            await self._fail(download, error)
        except OSError as error:
            await self._fail(download, _refusal(download.job.title, error))
        except Exception:  # noqa: BLE001 - the edge of its task: a download may not seem to run for ever
            _log.exception("A download failed")
            await self._fail(download, DownloadStopped(download.job.title, "the server's log says why"))
        finally:
            download.task = None
            self._fill()

    async def _transfer(self, download: RunningDownload) -> bool:
        """Whether everything came; not when it was paused, cancelled or left to the next run."""
        order = self._order(download.record)
        async with aclosing(download.process.reports(order)) as reports:
            async for report in reports:
                download.hear(report, asyncio.get_running_loop().time())
                if not download.process.is_stopped:
                    self._tell(download)
        if not download.has_everything and not download.process.is_stopped:
            raise DownloadStopped(download.job.title, download.process.last_words)
        return not download.process.is_stopped

    def _order(self, record: JobRecord) -> Order:
        client = self._client()
        files = tuple(
            FileOrder(
                url=file.url or client.file_url(record.repo, record.commit, file.path),
                part=str(JobFolder(self._models_dir, record).part(index)),
                name=Path(file.target).name,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                etag=file.etag,
            )
            for index, file in enumerate(record.files)
        )
        return structs.replace(self._manner, files=files, token=client.token if record.repo else None)

    async def _publish(self, download: RunningDownload) -> None:
        download.set_state("verifying")
        self._tell(download)
        try:
            await asyncio.to_thread(download.folder.check)
        except ModelFileError:
            await asyncio.to_thread(download.drop_parts)
            raise
        await self._save(download, structs.replace(download.found, state="publishing"))
        await asyncio.to_thread(download.folder.publish)
        download.set_state("done")
        self._on_complete()
        self._tell(download)

    async def _finish_publishing(self, folder: JobFolder) -> None:
        try:
            await asyncio.to_thread(folder.publish)
        except OSError as error:
            _log.warning("A finished download could not get its name: %s", error)

    async def _fail(self, download: RunningDownload, error: GlasshouseError) -> None:
        if download.process.is_stopped:  # it was paused or cancelled meanwhile
            return
        _log.info("The download of %s failed: %s", download.job.title, error.code)
        failed = structs.replace(download.record, state="failed", error=str(error), error_code=error.code)
        try:
            await asyncio.to_thread(download.folder.save, failed)
        except OSError as problem:  # a full disk, say: the next run would try again
            _log.warning("The state of a download could not be written: %s", problem)
        await asyncio.to_thread(download.count_parts)
        download.set_state("failed", error)
        self._tell(download)

    async def _save(self, download: RunningDownload, record: JobRecord) -> None:
        try:
            await asyncio.to_thread(download.folder.save, record)
        except OSError as error:
            raise _refusal(record.title, error) from error

    async def _check_space(self, title: str, missing_bytes: int, itself: RunningDownload | None) -> None:
        """Room for this one and for all that are under way."""
        under_way = {"queued", "running", "verifying"}
        others = sum(
            each.missing_bytes
            for each in self._downloads.values()
            if each is not itself and each.job.state in under_way
        )
        needed = missing_bytes + others + self._manner.margin_bytes
        free = await asyncio.to_thread(_free_bytes, self._models_dir, title)
        if needed > free:
            raise DiskFull(title, needed, free)


def _free_bytes(folder: Path, title: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise _refusal(title, error) from error


def _refusal(title: str, error: OSError) -> WriteFailed:
    return WriteFailed(title, error.strerror or str(error))
