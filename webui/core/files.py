"""Files that programs send and batches write: contents in the data folder, one row each once they are whole.

A content without a row is what a killed server left of a file on its way; it is removed at the next start. It does not
know what is in a file, nor how it comes over the wire.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from webui.errors import DiskFull, FileInUse, FileTooLarge, GlasshouseError, StoreFailed, UnknownFile
from webui.library.upload import to_its_end
from webui.store.database import make_private_folder
from webui.store.files import FileStore, Order, StoredFile

MAX_FILE_BYTES = 512_000_000  #: as much as OpenAI takes
FREE_MARGIN_BYTES = 256 << 20  #: left for the database, the logs and everybody else

_log = logging.getLogger(__name__)


class Incoming:
    """A file on its way here."""

    def __init__(self, path: Path, output: BinaryIO, *, max_bytes: int) -> None:
        self.path = path
        self.size_bytes = 0
        self.is_kept = False
        self._output = output
        self._max_bytes = max_bytes

    async def write(self, data: bytes) -> None:
        """Raises FileTooLarge, DiskFull or StoreFailed; then nothing is kept of it."""
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        with explaining(self.path, len(data)):
            await to_its_end(asyncio.to_thread(write_all, self._output, data))

    async def sync(self) -> None:
        with explaining(self.path, 0):
            await to_its_end(asyncio.to_thread(_flush, self._output))


class Files:
    """All files of all owners; each sees only their own."""

    def __init__(
        self,
        store: FileStore,
        folder: Path,
        *,
        max_bytes: int = MAX_FILE_BYTES,
        free_margin_bytes: int = FREE_MARGIN_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._free_margin_bytes = free_margin_bytes
        self._clock = clock
        self._readers: dict[str, list[str]] = {}  # by file: the batches that read it

    async def open(self, *, spare: Collection[str] = ()) -> None:
        """Make the folder, and forget what is half or too old. `spare`: ids of what somebody still reads or writes."""
        await asyncio.to_thread(make_private_folder, self._folder)
        await self._drop_expired(spare)
        ids = await self._store.ids()
        present = set(await asyncio.to_thread(os.listdir, self._folder))
        for name in present - ids - set(spare):
            await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)
        for file_id in ids - present:
            _log.warning("The content of the file %s is gone: it is taken off the list", file_id)
            await self._store.delete(file_id)

    # --- what is there ---------------------------------------------------------------------------------------------

    async def get(self, owner: str, file_id: str) -> StoredFile:
        """Raises UnknownFile, also for somebody else's."""
        found = await self._store.get(owner, file_id, now=self._clock())
        if found is None:
            raise UnknownFile(file_id)
        return found

    async def page(
        self, owner: str, *, limit: int, purpose: str | None = None, after: str | None = None, order: Order = "desc"
    ) -> list[StoredFile]:
        """Up to `limit` of them, those behind the one with the id `after`. Raises UnknownFile for a wrong one."""
        cursor = None if after is None else await self.get(owner, after)
        return await self._store.page(owner, now=self._clock(), limit=limit, purpose=purpose, after=cursor, order=order)

    def path_of(self, file_id: str) -> Path:
        """Where the content lies; for ids that were made here only."""
        return self._folder / file_id

    # --- coming and going ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def receive(self) -> AsyncIterator[Incoming]:
        """A new file to be written. What is not kept (`keep`) by the end of the block is removed."""
        await self._drop_expired()
        await self._check_room()
        path = self.path_of(new_file_id())
        with explaining(path, 0):
            output = await asyncio.to_thread(path.open, "xb", buffering=0)
        incoming = Incoming(path, output, max_bytes=self._max_bytes)
        try:
            yield incoming
        finally:
            output.close()
            if not incoming.is_kept:
                path.unlink(missing_ok=True)

    async def keep(
        self, incoming: Incoming, *, owner: str, name: str, purpose: str, keep_seconds: float | None = None
    ) -> StoredFile:
        """It is whole: from now on it is listed, for so many seconds (None: for ever)."""
        await incoming.sync()
        now = self._clock()
        file = StoredFile(
            id=incoming.path.name,
            owner=owner,
            purpose=purpose,
            name=name,
            size_bytes=incoming.size_bytes,
            created_at=now,
            expires_at=None if keep_seconds is None else now + keep_seconds,
        )
        await to_its_end(self._add(incoming, file))
        return file

    async def delete(self, owner: str, file_id: str) -> None:
        """Raises UnknownFile, or FileInUse while a batch reads it."""
        file = await self.get(owner, file_id)
        if readers := self._readers.get(file.id):
            raise FileInUse(file.id, readers[0])
        await self._forget(file.id)

    @contextmanager
    def hold(self, file_id: str, batch_id: str) -> Iterator[None]:
        """The batch reads this file: it stays until the end of the block, whatever its age."""
        readers = self._readers.setdefault(file_id, [])
        readers.append(batch_id)
        try:
            yield
        finally:
            readers.remove(batch_id)
            if not readers:
                del self._readers[file_id]

    async def _add(self, incoming: Incoming, file: StoredFile) -> None:
        await self._store.add(file)
        incoming.is_kept = True

    async def _forget(self, file_id: str) -> None:
        """The row first: a content without one is removed by the next start."""
        await self._store.delete(file_id)
        with explaining(self._folder, 0):
            await asyncio.to_thread(self.path_of(file_id).unlink, missing_ok=True)

    async def _drop_expired(self, spare: Collection[str] = ()) -> None:
        for file_id in await self._store.expired(now=self._clock()):
            if file_id not in self._readers and file_id not in spare:
                await self._forget(file_id)

    async def _check_room(self) -> None:
        with explaining(self._folder, 0):
            free = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        if free <= self._free_margin_bytes:
            raise DiskFull("the file", self._free_margin_bytes, free)


def new_file_id() -> str:
    return f"file-{secrets.token_hex(12)}"


@contextmanager
def explaining(path: Path, needed_bytes: int) -> Iterator[None]:
    """A block of work on the disk, whose refusals are told in our words: DiskFull or StoreFailed."""
    try:
        yield
    except OSError as error:
        raise _explain(error, path, needed_bytes) from error


def write_all(output: BinaryIO, data: bytes) -> None:
    """An unbuffered file may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[output.write(rest) :]


def _explain(error: OSError, path: Path, needed_bytes: int) -> GlasshouseError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        folder = path if path.is_dir() else path.parent
        return DiskFull("the file", needed_bytes, shutil.disk_usage(folder).free)
    return StoreFailed(error.strerror or str(error))


def _flush(output: BinaryIO) -> None:
    output.flush()
    os.fsync(output.fileno())
