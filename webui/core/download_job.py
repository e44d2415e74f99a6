"""How far a download is, as everybody sees it."""

from __future__ import annotations

from typing import Literal

from webui.types import Value

DownloadState = Literal["queued", "running", "paused", "verifying", "done", "failed"]


class DownloadJob(Value, frozen=True):
    """`error` is the sentence for people when it failed; what came is kept, and `resume` goes on from there."""

    id: str
    reference: str  #: as one could write it again: "org/repo:Q4_K_M"
    title: str  #: for people: "SmolLM2-135M-Instruct-GGUF Q4_K_M"
    state: DownloadState
    done_bytes: int = 0
    total_bytes: int = 0  #: 0 while nobody knows
    bytes_per_second: float = 0.0  #: over the last seconds; 0 unless it runs
    seconds_left: float | None = None  #: None while nobody can say
    error: str | None = None
    error_code: str | None = None  #: `code` of the error behind `error`
    path: str | None = None  #: where the model is, once it is done: what `Catalog.find` takes
