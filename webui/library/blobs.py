"""Files by the digest of their content, waiting to become models: what Ollama's programs send before `create`.

They lie in a hidden folder of the models folder and get there whole or not at all; one that becomes a model leaves it.
It does not know HTTP: a body is an async iterator of bytes here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from webui.errors import BlobMismatch, DiskFull, FileExists, InvalidDigest, UnknownBlob, WriteFailed
from webui.library.gguf import read_header
from webui.library.part_file import checked_file_name
from webui.library.uploads import FREE_MARGIN_BYTES

_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_KEPT_SECONDS = 7 * 86400
_PIECE_BYTES = 4 << 20  #: what is written at once


class Blobs:
    """All blobs of one models folder."""

    def __init__(self, models_dir: Path, *, free_margin_bytes: int = FREE_MARGIN_BYTES) -> None:
        self._models_dir = models_dir
        self._folder = models_dir / ".blobs"
        self._free_margin_bytes = free_margin_bytes

    def has(self, digest: str) -> bool:
        """Raises InvalidDigest."""
        return self._path(digest).is_file()

    async def receive(self, digest: str, chunks: AsyncIterator[bytes], announced_bytes: int = 0) -> None:
        """Keep what `chunks` yields; nothing is kept of what breaks off.

        Raises InvalidDigest, BlobMismatch when the content is another one, DiskFull, WriteFailed.
        """
        path = self._path(digest)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            await asyncio.to_thread(self._prepare, announced_bytes)
            found = await self._write(part, chunks)
            if found != path.name.removeprefix("sha256-"):
                raise BlobMismatch(digest, found)
            await asyncio.to_thread(part.replace, path)
        except OSError as error:
            raise WriteFailed(path.name, error.strerror or str(error)) from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def publish(self, digest: str, file_name: str) -> Path:
        """Make a model of it, under this name. Raises UnknownBlob, InvalidFileName, FileExists, NotGguf, DamagedGguf,
        WriteFailed."""
        path = self._path(digest)
        target = self._models_dir / checked_file_name(file_name)
        if not path.is_file():
            raise UnknownBlob(digest)
        read_header(path)
        try:
            target.hardlink_to(path)  # unlike a rename, it never replaces a file
            path.unlink()
        except FileExistsError:
            raise FileExists(target.name) from None
        except OSError as error:
            raise WriteFailed(target.name, error.strerror or str(error)) from error
        return target

    def sweep(self) -> None:
        """Remove what a killed server left half written, and what nobody made a model of for a week."""
        for file in self._folder.glob("sha256-*"):
            if file.suffix == ".part" or time.time() - file.stat().st_mtime > _KEPT_SECONDS:
                file.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise InvalidDigest(digest)
        return self._folder / f"sha256-{match[1]}"

    def _prepare(self, announced_bytes: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_space(announced_bytes)

    def _check_space(self, more_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if more_bytes + self._free_margin_bytes > free:
            raise DiskFull("the model", more_bytes + self._free_margin_bytes, free)

    async def _write(self, part: Path, chunks: AsyncIterator[bytes]) -> str:
        """The digest of what came."""
        digest = hashlib.sha256()

        def put(piece: bytes) -> None:
            self._check_space(len(piece))
            digest.update(piece)
            with part.open("ab") as file:
                file.write(piece)

        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= _PIECE_BYTES:
                await asyncio.to_thread(put, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(put, bytes(waiting))
        return digest.hexdigest()
