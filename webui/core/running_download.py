"""One download while this process knows it: its record, its transfer, and how far it is. It decides nothing."""

from __future__ import annotations

import asyncio

from msgspec import structs

from webui.core.download_job import DownloadJob, DownloadState
from webui.core.speed_meter import SpeedMeter
from webui.core.transfer_process import TransferProcess
from webui.errors import GlasshouseError, error_from_wire
from webui.library.hub.job_folder import JobFolder, JobRecord
from webui.library.hub.transfer_order import Checking, FileDone, Progress, Report, TransferFailed

_STATES: dict[str, DownloadState] = {"active": "queued", "paused": "paused", "failed": "failed"}


class RunningDownload:
    """`job` is what others see. `found` is the record with what the transfer found out about its files."""

    def __init__(self, folder: JobFolder, part_bytes: list[int]) -> None:
        record = folder.record
        self.folder = folder
        self.found = record
        self.process = TransferProcess()
        self.task: asyncio.Task[None] | None = None
        self._part_bytes = part_bytes
        self._whole: set[int] = set()
        self._meter = SpeedMeter()
        self.job = DownloadJob(
            id=record.id,
            reference=record.reference,
            title=record.title,
            state=_STATES.get(record.state, "queued"),
            done_bytes=sum(part_bytes),
            total_bytes=record.total_bytes,
            error=record.error,
            error_code=record.error_code,
        )

    @property
    def record(self) -> JobRecord:
        return self.folder.record

    @property
    def missing_bytes(self) -> int:
        return max(0, self.job.total_bytes - self.job.done_bytes)

    @property
    def has_everything(self) -> bool:
        return len(self._whole) == len(self.record.files)

    @property
    def can_be_paused(self) -> bool:
        """Once everything is here, only the names are missing: that is not interrupted."""
        return self.job.state == "queued" or (self.task is not None and not self.has_everything)

    def begin(self) -> None:
        self.process = TransferProcess()
        self.found = self.record
        self._whole.clear()
        self._meter.reset()
        self.set_state("running")

    def stop(self) -> None:
        self.process.stop()

    def hear(self, report: Report, now: float) -> None:
        """Take in one report. Raises the error that a transfer ended with."""
        if self.process.is_stopped:
            return
        match report:
            case Checking():
                self._meter.reset()
                self._show("verifying")
            case Progress():
                self._part_bytes[report.file] = report.bytes
                self._meter.add(now, sum(self._part_bytes))
                self._show("running")
            case FileDone():
                self._whole.add(report.file)
                self._part_bytes[report.file] = report.size_bytes
                files = list(self.found.files)
                files[report.file] = structs.replace(
                    files[report.file], size_bytes=report.size_bytes, sha256=report.sha256
                )
                self.found = structs.replace(self.found, files=tuple(files))
                self._show("running")
            case TransferFailed():
                raise error_from_wire(report.code, report.details)

    def set_state(self, state: DownloadState, error: GlasshouseError | None = None) -> None:
        self._meter.reset()
        self.job = structs.replace(
            self.job,
            error=str(error) if error else None,
            error_code=error.code if error else None,
            path=str(self.folder.target(0)) if state == "done" else None,
        )
        self._show(state)

    def count_parts(self) -> None:
        """Ask the disk how much is here. Belongs in a thread."""
        self._part_bytes = self.folder.part_bytes()

    def drop_parts(self) -> None:
        """Remove what came, because it is no good. Belongs in a thread; raises OSError."""
        for index in range(len(self.record.files)):
            self.folder.part(index).unlink(missing_ok=True)

    def _show(self, state: DownloadState) -> None:
        done = sum(self._part_bytes)
        total = sum(file.size_bytes or 0 for file in self.found.files)
        self.job = structs.replace(
            self.job,
            state=state,
            done_bytes=done,
            total_bytes=total,
            bytes_per_second=self._meter.bytes_per_second,
            seconds_left=self._meter.seconds_left(total - done) if total > done else None,
        )
