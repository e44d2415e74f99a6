"""One download on disk: a hidden folder of the models folder with `job.json` and a part for each file.

The record is there before the first byte, and the parts' sizes are the only account of how far it is. So a kill at any
moment loses nothing, and nothing unfinished has a model's name. Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from webui.errors import FileExists, UnsupportedModel
from webui.library.durable import sync_folder
from webui.library.gguf import check_part
from webui.library.hub.origin import Origin, write_origin
from webui.library.hub.reference import is_safe_path
from webui.types import Value

DOWNLOADS_FOLDER = ".downloads"
_RECORD = "job.json"
_MAX_RECORD_BYTES = 1 << 20

#: "publishing": everything came and was found right; what is left is to give the files their names
RecordState = Literal["active", "paused", "failed", "publishing"]


class JobFile(Value, frozen=True):
    """`target` is the path that the file will have in the models folder; `path` the one in its repository."""

    target: str
    size_bytes: int | None
    sha256: str | None = None  #: announced; after its transfer the one that was found
    path: str = ""
    url: str = ""  #: of a file that is in no repository
    etag: str | None = None


class JobRecord(Value, frozen=True):
    """What a download needs to go on in another process."""

    id: str
    reference: str
    title: str
    files: tuple[JobFile, ...]
    created_at: float
    state: RecordState = "active"
    repo: str = ""
    revision: str = ""
    commit: str = ""
    label: str = ""
    replaces: bool = False  #: files of these names may be there: an older version of the same
    error: str | None = None
    error_code: str | None = None

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes or 0 for file in self.files)


@dataclass(slots=True)
class JobFolder:
    """`record` is what is on disk."""

    models_dir: Path
    record: JobRecord

    @property
    def path(self) -> Path:
        return self.models_dir / DOWNLOADS_FOLDER / self.record.id

    def part(self, index: int) -> Path:
        return self.path / f"{index}.part"

    def target(self, index: int) -> Path:
        return self.models_dir / self.record.files[index].target

    def part_bytes(self) -> list[int]:
        """How much of each file is here."""
        return [_size(self.part(index)) for index in range(len(self.record.files))]

    def save(self, record: JobRecord) -> None:
        """Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        fresh = self.path / f"{_RECORD}.new"
        with open(fresh, "wb", opener=_open_private) as file:  # private: an address may hold a key
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path / _RECORD)
        self.record = record

    def remove(self) -> None:
        """The record goes last, so that what a kill leaves of this is found again. Raises OSError."""
        for index in range(len(self.record.files)):
            self.part(index).unlink(missing_ok=True)
        if self.path.exists():
            shutil.rmtree(self.path)
        with suppress(OSError):  # others are there
            self.path.parent.rmdir()

    def check(self) -> None:
        """Whether the whole parts may become model files. Raises NotGguf, DamagedGguf, or FileExists."""
        for index in range(len(self.record.files)):
            target = self.target(index)
            if target.exists() and not self.record.replaces:
                raise FileExists(target.name)
            with suppress(UnsupportedModel):  # a sound file that this version cannot run: the list says so
                check_part(self.part(index), target.name)

    def publish(self) -> None:
        """Give the checked parts their names; what a kill left of this goes on from there. Raises OSError.

        The first file comes last: of a split model it is the one that people and llama.cpp look for.
        """
        for index in reversed(range(len(self.record.files))):
            part, target = self.part(index), self.target(index)
            if not part.exists():
                continue
            with part.open("rb") as file:
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            write_origin(target, self._origin(index, part))
            part.replace(target)
            sync_folder(target.parent)
        self.remove()

    def _origin(self, index: int, part: Path) -> Origin:
        record, file = self.record, self.record.files[index]
        return Origin(
            sha256=file.sha256 or "",
            size_bytes=part.stat().st_size,
            fetched_at=time.time(),
            repo=record.repo,
            path=file.path,
            revision=record.revision,
            commit=record.commit,
            label=record.label,
            url=record.reference if file.url else "",  # without a key that the address may hold
        )


def find_jobs(models_dir: Path) -> list[JobFolder]:
    """Those that an earlier run left, the oldest first. A folder without a record is what a kill left of removing one,
    and goes; a record that says nothing useful is left alone."""
    parent = models_dir / DOWNLOADS_FOLDER
    if not parent.is_dir():
        return []
    found = []
    for folder in sorted(parent.iterdir()):
        record = _read_record(folder)
        if record is not None:
            found.append(JobFolder(models_dir, record))
        elif folder.is_dir() and not (folder / _RECORD).exists():
            with suppress(OSError):
                shutil.rmtree(folder)
    return sorted(found, key=lambda job: job.record.created_at)


def _read_record(folder: Path) -> JobRecord | None:
    path = folder / _RECORD
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            return None
        record = msgspec.json.decode(path.read_bytes(), type=JobRecord)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_ours = record.id == folder.name and bool(record.files)
    return record if is_ours and all(is_safe_path(file.target) for file in record.files) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
