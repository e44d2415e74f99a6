"""A job of the workbench as everybody sees it: values only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from webui.types import Value
from webui.workbench.protocol import AnyOutcome

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})


class WorkJob(Value, frozen=True):
    """One job, from the moment it was asked for until somebody dismisses it."""

    id: str
    kind: str  #: the tag of its request: "quantize", "merge_adapters", "split", ...
    title: str  #: for people: "SmolLM2 135M Instruct → Q4_K_M"
    created_at: float  #: Unix seconds
    model_id: str = ""  #: the model that it starts from
    result_name: str = ""  #: the file (of a split model: the folder) that it makes in the models folder
    state: JobState = "queued"
    progress: float = 0.0  #: 0..1
    words: str = ""  #: what it does right now
    result_path: Path | None = None  #: once it is done; the first part of a split model
    outcome: AnyOutcome | None = None
    error: str | None = None  #: the sentence for people
    error_code: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED
