"""Models on their way here: a queue that two transfers work at, each in a process of its own.

It decides what runs, waits, rests and ends. Every job lies on disk from its first moment (`library/hub/job_folder`), so
that what a killed server leaves is found and goes on. It does not know pages, and the bytes never pass through it.
"""

from __future__ import annotations

from typing import Literal

from webui.core.signal import Signal
from webui.library.hub.reference import Reference
from webui.types import Value

DownloadState = Literal["queued", "running", "paused", "verifying", "done", "failed"]


class DownloadJob(Value, frozen=True):
    """How far one download is. `error` is the sentence for people when it failed; what came is kept, and `resume` goes
    on from there."""

    id: str
    reference: str  #: as one could write it again: "org/repo:Q4_K_M"
    title: str  #: for people: "SmolLM2-135M-Instruct-GGUF Q4_K_M"
    state: DownloadState
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float = 0.0  #: over the last seconds; 0 unless it runs
    seconds_left: float | None = None  #: None while nobody can say
    error: str | None = None
    error_code: str | None = None  #: `code` of the error behind `error`


class Downloads:
    """All downloads. `changed` gets each new state of a job, at most four a second for one that runs; a job that was
    cancelled or forgotten is told a last time and is in `jobs` no more."""

    def __init__(self) -> None:
        self.changed: Signal[DownloadJob] = Signal()
        self._jobs: dict[str, DownloadJob] = {}

    @property
    def jobs(self) -> tuple[DownloadJob, ...]:
        """In the order in which they were asked for, those of earlier runs among them; done ones until `cancel`."""
        return tuple(self._jobs.values())

    async def start(self, reference: Reference | str) -> DownloadJob:
        """Ask the hub what it is, and queue it; the same model asked for again is the same job, which goes on.

        Raises InvalidReference, HubOffline, HubDenied, HubNotFound, HubBusy, AlreadyHere, FileExists, DiskFull.
        """
        raise NotImplementedError

    async def pause(self, download_id: str) -> DownloadJob:
        """Stop and keep what came. Raises UnknownDownload; nothing happens to one that has ended."""
        raise NotImplementedError

    async def resume(self, download_id: str) -> DownloadJob:
        """Queue a paused or failed one again. Raises UnknownDownload and DiskFull."""
        raise NotImplementedError

    async def cancel(self, download_id: str) -> None:
        """End it and remove what came of it; a done one is only taken off the list. Raises UnknownDownload."""
        raise NotImplementedError
