"""The library's uploads with ears: whoever shows imports hears of each step, and a whole file renews the catalog.

It knows only that something changed; files and offsets are `library/uploads`'.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from webui.core.signal import Signal
from webui.library.uploads import Uploads, UploadStatus


class ObservedUploads:
    """The same methods as `Uploads`; `changed` gets each new status, `on_complete` runs when a model file is whole."""

    def __init__(self, uploads: Uploads, *, on_complete: Callable[[], None]) -> None:
        self.changed: Signal[UploadStatus] = Signal()
        self._uploads = uploads
        self._on_complete = on_complete

    async def start(self, file_name: str, size_bytes: int) -> UploadStatus:
        return self._tell(await self._uploads.start(file_name, size_bytes))

    async def append(
        self, upload_id: str, offset: int, chunks: AsyncIterator[bytes], digest: str | None = None
    ) -> UploadStatus:
        return self._tell(await self._uploads.append(upload_id, offset, chunks, digest))

    async def digest(self, upload_id: str) -> tuple[int, str]:
        return await self._uploads.digest(upload_id)

    async def status(self, upload_id: str) -> UploadStatus:
        return await self._uploads.status(upload_id)

    async def cancel(self, upload_id: str) -> None:
        await self._uploads.cancel(upload_id)

    def _tell(self, status: UploadStatus) -> UploadStatus:
        self.changed.emit(status)
        if status.state == "complete":
            self._on_complete()
        return status
