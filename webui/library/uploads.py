"""Imports of model files from a browser or a program, straight to disk and resumable, also after a restart.

It decides when an import begins, goes on, is whole, fails or is cancelled. It does not know HTTP: the body of a request
is an async iterator of bytes here.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from webui.errors import (
    DiskFull,
    GlasshouseError,
    ImportTakenOver,
    ImportUnderWay,
    ModelFileError,
    NotGguf,
    OffsetMismatch,
    UnknownUpload,
)
from webui.library.part_file import PartFile, checked_file_name, find_part_files
from webui.library.upload import Upload, UploadStatus, on_disk, to_its_end

__all__ = ["UploadStatus", "Uploads"]

FREE_MARGIN_BYTES = 256 << 20  # left for the database, the logs and everybody else
_SMALLEST_GGUF = 24  # the magic, the version and two counts
_MAX_REMEMBERED = 64


class Uploads:
    """All imports into one models folder."""

    def __init__(self, models_dir: Path, *, free_margin_bytes: int = FREE_MARGIN_BYTES) -> None:
        self._models_dir = models_dir
        self._free_margin_bytes = free_margin_bytes
        self._uploads: dict[str, Upload] = {}
        self._is_restored = False
        self._lock = asyncio.Lock()

    async def start(self, file_name: str, size_bytes: int) -> UploadStatus:
        """Begin an import, or go on with an unfinished one of the same name and size: look at `offset`, and compare
        `digest` with the file's before more of it is sent. An append finishes it, an empty one too.

        Raises InvalidFileName, NotGguf (too small to be one), FileExists, ImportUnderWay, DiskFull, WriteFailed.
        """
        name = checked_file_name(file_name)
        if size_bytes < _SMALLEST_GGUF:
            raise NotGguf(name)
        await self._restore()
        async with self._lock:
            upload = self._find_unfinished(name)
            if upload is None:
                part = PartFile(self._models_dir, secrets.token_urlsafe(12), name, size_bytes)
                upload = await to_its_end(self._create(part))
            elif (upload.part.name, upload.part.size_bytes) != (name, size_bytes):
                raise ImportUnderWay(upload.part.name, upload.status.offset, upload.part.size_bytes)
            else:
                await self._check_space(upload.part, upload)
        if not upload.is_receiving:
            async with upload.lock:
                await self._refresh(upload)
        return upload.status

    async def digest(self, upload_id: str) -> tuple[int, str]:
        """How many bytes are here, and the BLAKE3 digest of these in hex. After a restart they are read from the disk
        once; an append ends that (ImportTakenOver). Raises UnknownUpload."""
        upload = await self._get(upload_id)
        async with upload.lock:
            await self._refresh(upload)
            await upload.catch_up()
            return upload.status.offset, upload.digest.hex

    async def append(
        self, upload_id: str, offset: int, chunks: AsyncIterator[bytes], digest: str | None = None
    ) -> UploadStatus:
        """Write what `chunks` yields, from `offset` on, and finish the import when it is whole.

        `digest` is the sender's BLAKE3 digest (hex) of the file from its first byte to the last of `chunks`. Where it
        differs from that of what is here, what no digest has proven before is taken back (DigestMismatch).

        When the iterator fails or the caller is cancelled, what came is kept. An append that still runs for the same
        import is ended first (its connection is usually dead, and only the client knows). Raises UnknownUpload,
        OffsetMismatch, UploadTooLong, DiskFull and WriteFailed, which keep the part; NotGguf and DamagedGguf, which end
        the import; FileExists; ImportTakenOver.
        """
        upload = await self._get(upload_id)
        upload.interrupt(ImportTakenOver(upload.part.name))
        async with upload.lock:
            await self._refresh(upload)
            if upload.status.state == "failed":
                raise UnknownUpload(upload_id)
            if offset != upload.status.offset:
                raise OffsetMismatch(upload.status.offset)
            if upload.status.state == "receiving":
                try:
                    await upload.receive(chunks, digest)
                except ModelFileError as error:
                    await self._fail(upload, error)
                    raise
                await self._finish_if_whole(upload)
            return upload.status

    async def status(self, upload_id: str) -> UploadStatus:
        """Raises UnknownUpload."""
        upload = await self._get(upload_id)
        if not upload.lock.locked():
            async with upload.lock:
                await self._refresh(upload)
        return upload.status

    async def list(self) -> list[UploadStatus]:
        """The unfinished imports, those of earlier runs among them."""
        await self._restore()
        return [upload.status for upload in self._uploads.values() if upload.status.state == "receiving"]

    async def cancel(self, upload_id: str) -> None:
        """End the import and remove what is here of it, also in the middle of an append. Raises UnknownUpload."""
        upload = await self._get(upload_id)
        upload.interrupt(UnknownUpload(upload_id))
        async with upload.lock, self._lock:  # nobody starts an import of this name while its part goes
            if upload.status.state != "receiving" or self._uploads.pop(upload_id, None) is None:
                raise UnknownUpload(upload_id)
            await on_disk(upload.part, asyncio.to_thread(upload.part.remove))

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        async with self._lock:
            if self._is_restored:
                return
            for part in await asyncio.to_thread(find_part_files, self._models_dir):
                offset = await asyncio.to_thread(part.offset)
                self._uploads[part.id] = Upload(part, offset, self._free_margin_bytes)
            self._is_restored = True

    async def _get(self, upload_id: str) -> Upload:
        await self._restore()
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise UnknownUpload(upload_id)
        return upload

    def _find_unfinished(self, name: str) -> Upload | None:
        """Names that differ only in case are one file on macOS and Windows."""
        return next(
            (
                upload
                for upload in self._uploads.values()
                if upload.status.state == "receiving" and upload.part.name.casefold() == name.casefold()
            ),
            None,
        )

    async def _create(self, part: PartFile) -> Upload:
        await on_disk(part, asyncio.to_thread(part.folder.mkdir, parents=True, exist_ok=True))
        await self._check_space(part, None)
        await on_disk(part, asyncio.to_thread(part.create))
        upload = self._uploads[part.id] = Upload(part, 0, self._free_margin_bytes)
        ended = [each for each in self._uploads.values() if each.status.state != "receiving"]
        for old in ended[:-_MAX_REMEMBERED]:
            del self._uploads[old.part.id]
        return upload

    async def _check_space(self, part: PartFile, upload: Upload | None) -> None:
        """Room for what is missing of this import, and of those that are on their way now."""
        others = [each for each in self._uploads.values() if each is not upload and each.is_receiving]
        missing = part.size_bytes if upload is None else upload.missing_bytes
        needed = missing + sum(each.missing_bytes for each in others) + self._free_margin_bytes
        free = (await on_disk(part, asyncio.to_thread(shutil.disk_usage, part.folder))).free
        if missing and needed > free:
            raise DiskFull(part.name, needed, free)

    async def _refresh(self, upload: Upload) -> None:
        """The file on disk decides how far an import is."""
        if self._uploads.get(upload.part.id) is not upload:
            raise UnknownUpload(upload.part.id)
        if upload.status.state == "receiving":
            upload.set_offset(await on_disk(upload.part, asyncio.to_thread(upload.part.offset)))

    async def _finish_if_whole(self, upload: Upload) -> None:
        if upload.status.state == "receiving" and not upload.missing_bytes:
            await to_its_end(self._finish(upload))

    async def _finish(self, upload: Upload) -> None:
        try:
            await on_disk(upload.part, asyncio.to_thread(upload.part.publish))
        except ModelFileError as error:
            await self._fail(upload, error)
            raise
        upload.status = replace(upload.status, state="complete")

    async def _fail(self, upload: Upload, error: GlasshouseError) -> None:
        await on_disk(upload.part, asyncio.to_thread(upload.part.remove))
        upload.status = replace(upload.status, state="failed", error=str(error))
