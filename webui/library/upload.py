"""One import while this process serves it: its status, its digest, its lock, and the writing of one append.

Bytes are appended in batches of a mebibyte, past the page cache; the event loop never waits for the disk and a file is
never held in memory.
What a digest of the sender has proven is remembered, so that what a bad line brought is taken back and nothing else. It
does not decide when an import begins, is whole or is over: `uploads.py` does.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from webui.errors import DigestMismatch, DiskFull, NotGguf, TransferError, UploadTooLong, WriteFailed
from webui.library.gguf_file import MAGIC
from webui.library.page_cache import BLOCK_BYTES, PageCacheBypass, block_buffer
from webui.library.part_digest import PartDigest
from webui.library.part_file import PartFile

BATCH_BYTES = 1 << 20
_LOOK_BYTES = 16 << 20  # how often the free space is looked at

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """How far one import is. `offset` bytes are safely here; `error` is the sentence for people when it failed."""

    id: str
    name: str
    size_bytes: int
    offset: int
    state: Literal["receiving", "complete", "failed"]
    error: str | None = None


class Upload:
    """One import in this process. The lock is held by whoever appends, reads, finishes or removes."""

    def __init__(self, part: PartFile, offset: int, free_margin_bytes: int) -> None:
        self.part = part
        self.free_margin_bytes = free_margin_bytes
        self.lock = asyncio.Lock()
        self.status = UploadStatus(part.id, part.name, part.size_bytes, offset, "receiving")
        self.digest = PartDigest()
        # As far as the sender's digest was ours; at first what an earlier run left.
        self._proven_bytes, self._proven_digest = offset, PartDigest()
        self._work: asyncio.Task[None] | None = None
        self._verdict: TransferError | None = None

    @property
    def is_receiving(self) -> bool:
        return self._work is not None

    @property
    def missing_bytes(self) -> int:
        return self.status.size_bytes - self.status.offset

    def set_offset(self, offset: int) -> None:
        self.status = replace(self.status, offset=offset)
        self._proven_bytes = min(self._proven_bytes, offset)
        if self.digest.num_bytes > offset:
            self.digest = PartDigest()

    def interrupt(self, verdict: TransferError) -> None:
        """End the work on the file that runs; its caller gets `verdict`."""
        if self._work is not None:
            self._verdict = verdict
            self._work.cancel()

    async def receive(self, chunks: AsyncIterator[bytes], digest: str | None) -> None:
        """Append. `digest` is the sender's, of the file from its beginning to the last byte of `chunks`: where it is
        not ours, all that was not proven before is taken back (DigestMismatch)."""
        if digest is None:
            await self._run(_append_chunks(self, chunks))
            return
        await self.catch_up()
        self._note_proven_digest()
        await self._run(_append_chunks(self, chunks))
        if digest != self.digest.hex:
            await self._take_back()
            raise DigestMismatch(self.part.name, self.status.offset)
        self._proven_bytes = self.status.offset
        self._note_proven_digest()

    async def catch_up(self) -> None:
        """Bring the digest to the end of what is here, from the disk."""
        if self.digest.num_bytes != self.status.offset:
            await self._run(_read_on(self))

    def _note_proven_digest(self) -> None:
        if self.digest.num_bytes == self._proven_bytes:
            self._proven_digest = self.digest.copy()

    async def _take_back(self) -> None:
        await on_disk(self.part, asyncio.to_thread(self.part.truncate, self._proven_bytes))
        self.digest = self._proven_digest.copy()
        self.set_offset(self._proven_bytes)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Work on the file in a task of its own, so that `interrupt` ends it and nothing else of the caller's."""
        self._verdict = None
        self._work = asyncio.create_task(work)
        try:
            await self._work
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._verdict is None or (caller is not None and caller.cancelling()):
                raise
            raise self._verdict from None
        finally:
            self._work = None


async def _read_on(upload: Upload) -> None:
    end = upload.status.offset
    while await on_disk(upload.part, asyncio.to_thread(upload.digest.read_on, upload.part.path, end)):
        pass


async def _append_chunks(upload: Upload, chunks: AsyncIterator[bytes]) -> None:
    """Batch and write. Whatever ends the iterator, what was taken from it before is written; who is interrupted in the
    middle of a write leaves the rest of one chunk out.

    The batch is filled again and again: new memory for each would cost more than the copying.
    """
    batch, used = block_buffer(BATCH_BYTES), 0
    whole = BATCH_BYTES - upload.status.offset % BLOCK_BYTES  # the first batch ends at a block, and so all others do
    room = upload.missing_bytes
    await _check_margin(upload)
    output = await on_disk(upload.part, aiofiles.open(upload.part.path, "ab", buffering=0))
    bypass = PageCacheBypass(output.fileno())
    try:
        async for chunk in chunks:
            if len(chunk) > room:
                raise UploadTooLong(upload.part.name, upload.part.size_bytes)
            room -= len(chunk)
            rest = memoryview(chunk)
            while rest:
                taken = min(len(rest), whole - used)
                batch[used : used + taken] = rest[:taken]
                used, rest = used + taken, rest[taken:]
                if used == whole:
                    used, full, whole = 0, batch[:whole], BATCH_BYTES
                    await _write(upload, output, bypass, full)
    finally:
        try:
            await _write(upload, output, bypass, batch[:used])
        finally:
            await on_disk(upload.part, output.close())


async def _write(upload: Upload, output: AsyncFileIO, bypass: PageCacheBypass, data: memoryview) -> None:
    """All of `data`, counted as it lands, so that a disk that fills up in the middle leaves the right offset."""
    start = upload.status.offset
    if data[: max(0, len(MAGIC) - start)] != MAGIC[start : start + len(data)]:
        raise NotGguf(upload.part.name)
    if start // _LOOK_BYTES != (start + len(data)) // _LOOK_BYTES:
        await _check_margin(upload)
    rest = data
    while rest:
        written = await on_disk(upload.part, _write_some(upload.status.offset, output, bypass, rest))
        if upload.digest.num_bytes == upload.status.offset:
            upload.digest.update(rest[:written])
        upload.set_offset(upload.status.offset + written)
        rest = rest[written:]


async def _write_some(offset: int, output: AsyncFileIO, bypass: PageCacheBypass, data: memoryview) -> int:
    bypass.choose(offset, len(data))
    try:
        return await output.write(data)
    except OSError as error:
        if error.errno != errno.EINVAL or not bypass.give_up():
            raise
        return await output.write(data)


async def _check_margin(upload: Upload) -> None:
    """Each import had room when it began; several side by side, or others who write, may not leave the margin."""
    free = (await on_disk(upload.part, asyncio.to_thread(shutil.disk_usage, upload.part.folder))).free
    if upload.missing_bytes and free <= upload.free_margin_bytes:
        raise DiskFull(upload.part.name, upload.missing_bytes + upload.free_margin_bytes, free)


async def to_its_end(work: Awaitable[_T]) -> _T:
    """Wait for `work` even when the caller is cancelled: nobody may touch the file while a thread does."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as lost
        raise


async def on_disk(part: PartFile, work: Awaitable[_T]) -> _T:
    """A thread's work on the disk, with the system's refusals in our words."""
    try:
        return await to_its_end(work)
    except OSError as error:
        raise await asyncio.to_thread(_explain, part, error) from error


def _explain(part: PartFile, error: OSError) -> TransferError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(part.name, part.size_bytes - part.offset(), shutil.disk_usage(part.folder).free)
    return WriteFailed(part.name, error.strerror or str(error))
