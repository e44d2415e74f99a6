"""The file that a download writes: it counts, computes the SHA-256 on the way, and takes no byte more than announced.
It is written past the page cache.

It has the methods that huggingface-hub's `http_get` uses of a file. It does not know where the bytes come from.
"""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from webui.errors import DiskFull, DownloadDamaged, NotGguf, WriteFailed
from webui.library.gguf_file import MAGIC
from webui.library.hub.file_lock import lock_file
from webui.library.page_cache import BLOCK_BYTES, PageCacheBypass, block_buffer

_READ_BYTES = _BATCH_BYTES = 1 << 20
_REPORT_SECONDS = 0.25
_MARGIN_EVERY_BYTES = 64 << 20  #: how often free space is asked for


class ReceivedFile(io.RawIOBase):
    """Opens `path` where an earlier attempt left it; `report` hears of the position at most four times a second.

    Raises DiskFull, WriteFailed, NotGguf with the first bytes, DownloadDamaged for more than `size_bytes`.
    """

    def __init__(
        self, path: Path, name: str, size_bytes: int | None, margin_bytes: int, report: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._path = path
        self._name = name
        self._size_bytes = size_bytes
        self._margin_bytes = margin_bytes
        self._report = report
        self._reported_at = 0.0
        self._next_check = 0
        self._hash = hashlib.sha256()
        self._position = 0
        self._batch = block_buffer(_BATCH_BYTES)
        try:
            self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        except OSError as error:
            raise WriteFailed(name, error.strerror or str(error)) from error
        if not lock_file(cast("BinaryIO", self._file)):
            self._file.close()
            raise WriteFailed(name, "another Glasshouse is fetching it")
        self._bypass = PageCacheBypass(self._file.fileno())

    def read_what_is_here(self, report: Callable[[int], None]) -> None:
        """Comes first. A hash cannot be kept across processes: what an earlier one left is read again."""
        while chunk := self._read():
            self._hash.update(chunk)
            self._position += len(chunk)
            self._tell(report)
        if self._size_bytes is not None and self._position > self._size_bytes:
            self.begin_anew()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:  # type: ignore[override]  # http_get hands over bytes only
        if self._size_bytes is not None and self._position + len(data) > self._size_bytes:
            raise DownloadDamaged(self._name, "it is longer")
        if data[: max(0, len(MAGIC) - self._position)] != MAGIC[self._position : self._position + len(data)]:
            raise NotGguf(self._name)
        self._check_space(len(data))
        rest = memoryview(data)
        while rest:
            count = self._write_some(rest)
            self._hash.update(rest[:count])
            self._position += count
            rest = rest[count:]
        self._tell(self._report)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Back to the beginning only: what `http_get` does when a server sends the whole file again."""
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a download goes on, or begins anew")
        self._position = self._next_check = 0
        self._hash = hashlib.sha256()
        return self._file.seek(0)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(self._position if size is None else size)

    def begin_anew(self) -> None:
        self.seek(0)
        self.truncate()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _write_some(self, data: memoryview) -> int:
        """As much as goes at once, from memory that begins at a block; where that is not the file's, up to a block."""
        batch = self._batch[: min(len(data), _BATCH_BYTES - self._position % BLOCK_BYTES)]
        batch[:] = data[: len(batch)]
        self._bypass.choose(self._position, len(batch))
        try:
            try:
                return self._file.write(batch)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._bypass.give_up():
                    raise
                return self._file.write(batch)
        except OSError as error:
            raise self._explain(error) from error

    def _read(self) -> bytes:
        try:
            return self._file.read(_READ_BYTES)
        except OSError as error:
            raise self._explain(error) from error

    def _check_space(self, num_bytes: int) -> None:
        if self._position + num_bytes < self._next_check:
            return
        missing = max(num_bytes, (self._size_bytes or 0) - self._position)
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise self._explain(error) from error
        if free < num_bytes + _MARGIN_EVERY_BYTES + self._margin_bytes:
            raise DiskFull(self._name, missing + self._margin_bytes, free)
        self._next_check = self._position + num_bytes + _MARGIN_EVERY_BYTES

    def _tell(self, report: Callable[[int], None]) -> None:
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS or self._position == self._size_bytes:
            self._reported_at = now
            report(self._position)

    def _explain(self, error: OSError) -> DiskFull | WriteFailed:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            missing = max(0, (self._size_bytes or 0) - self._position)
            return DiskFull(self._name, missing + self._margin_bytes, shutil.disk_usage(self._path.parent).free)
        return WriteFailed(self._name, error.strerror or str(error))
