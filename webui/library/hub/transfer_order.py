"""What a transfer process is told, and what it tells: values, shared by both ends of its pipes."""

from __future__ import annotations

from webui.errors import Detail
from webui.types import Value


class FileOrder(Value, frozen=True):
    """One file to fetch into `part`, where an earlier attempt may have left a beginning."""

    url: str
    part: str
    name: str
    size_bytes: int | None = None  #: None: whatever comes
    sha256: str | None = None
    etag: str | None = None  #: of the beginning that is here, where there is no sha256 to tell whether it goes on right


class Order(Value, frozen=True):
    """What one process does. `token` goes to the host of the first address only."""

    files: tuple[FileOrder, ...]
    token: str | None = None
    margin_bytes: int = 0
    silence_seconds: float = 10.0  #: how long a line may be without a byte
    first_pause_seconds: float = 0.5  #: after it broke; twice as long each time


class Progress(Value, frozen=True, tag="progress"):
    """`bytes` of the file with this index are here."""

    file: int
    bytes: int


class Checking(Value, frozen=True, tag="checking"):
    """`bytes` of what an earlier attempt left have been read again, for the SHA-256."""

    file: int
    bytes: int


class FileDone(Value, frozen=True, tag="file_done"):
    """The file is whole, and its SHA-256 is the announced one where one was announced."""

    file: int
    size_bytes: int
    sha256: str


class TransferFailed(Value, frozen=True, tag="failed"):
    """The last report of a process that could not go on: an error as it crosses a pipe."""

    code: str
    details: dict[str, Detail]


Report = Progress | Checking | FileDone | TransferFailed
