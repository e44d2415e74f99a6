"""Writes a GGUF file (version 3) from a plan: metadata first, then tensor after tensor, streamed.

No more than a few megabytes are in memory, whatever the file's size. The plan's size is known before a byte is written,
so the disk is asked first. It does not know where tensors come from: each is a stretch of a file, or a function that
yields its bytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from webui.errors import DiskFull, WorkFailed
from webui.workbench.gguf_layout import Entry, Span, Tensor, padded

CHUNK_BYTES = 4 << 20

_VERSION = 3
_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor of the new file. `write` yields its bytes in pieces, `size` in all."""

    name: str
    dimensions: tuple[int, ...]
    kind: int
    size: int
    pieces: Callable[[], Iterable[bytes]]

    @classmethod
    def copy_of(cls, tensor: Tensor) -> NewTensor:
        data = tensor.data
        return cls(tensor.name, tensor.dimensions, tensor.kind, data.size, lambda: read_span(data))


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file that is to be written."""

    entries: Sequence[Entry]
    tensors: Sequence[NewTensor]
    alignment: int

    @property
    def size_bytes(self) -> int:
        return padded(self._header_bytes, self.alignment) + sum(
            padded(tensor.size, self.alignment) for tensor in self.tensors
        )

    @property
    def _header_bytes(self) -> int:
        entries = sum(8 + len(_encode(entry.key)) + entry.content_size for entry in self.entries)
        tensors = sum(8 + len(_encode(t.name)) + 4 + 8 * len(t.dimensions) + 12 for t in self.tensors)
        return 24 + entries + tensors

    def write(self, path: Path, on_bytes: Callable[[int], None]) -> dict[str, bytes]:
        """Write it and bring it to the disk; the digest of each tensor's bytes. `on_bytes` hears of what is written."""
        digests: dict[str, bytes] = {}
        with path.open("xb") as file:
            for piece in self._header():
                file.write(piece)
            _pad(file, padded(self._header_bytes, self.alignment))
            for tensor in self.tensors:
                digests[tensor.name] = self._write_tensor(file, tensor, on_bytes)
            file.flush()
            os.fsync(file.fileno())
        return digests

    def _header(self) -> Iterator[bytes]:
        yield _MAGIC + struct.pack("<IQQ", _VERSION, len(self.tensors), len(self.entries))
        for entry in self.entries:
            yield _text(entry.key)
            if isinstance(entry.content, Span):
                yield from read_span(entry.content)
            else:
                yield entry.content
        offset = 0
        for tensor in self.tensors:
            count = len(tensor.dimensions)
            yield _text(tensor.name) + struct.pack(f"<I{count}QIQ", count, *tensor.dimensions, tensor.kind, offset)
            offset += padded(tensor.size, self.alignment)

    def _write_tensor(self, file: BinaryIO, tensor: NewTensor, on_bytes: Callable[[int], None]) -> bytes:
        digest = hashlib.sha256()
        start = file.tell()
        for piece in tensor.pieces():
            file.write(piece)
            digest.update(piece)
            on_bytes(len(piece))
        if file.tell() - start != tensor.size:
            raise WorkFailed(f"the tensor “{tensor.name}” came out at another size than planned")
        _pad(file, start + padded(tensor.size, self.alignment))
        return digest.digest()


def read_span(span: Span) -> Iterator[bytes]:
    """Its bytes in pieces. Raises WorkFailed when the file has become shorter."""
    with span.path.open("rb") as file:
        file.seek(span.start)
        left = span.size
        while left:
            piece = file.read(min(CHUNK_BYTES, left))
            if not piece:
                raise WorkFailed(f"“{span.path.name}” changed while it was read")
            left -= len(piece)
            yield piece


def digest_of(span: Span) -> bytes:
    digest = hashlib.sha256()
    for piece in read_span(span):
        digest.update(piece)
    return digest.digest()


def ensure_space(folder: Path, name: str, size_bytes: int, keep_free_bytes: int) -> None:
    """Raises DiskFull when the result and the margin do not fit."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes + keep_free_bytes:
        raise DiskFull(name, size_bytes + keep_free_bytes, free)


def _text(text: str) -> bytes:
    data = _encode(text)
    return struct.pack("<Q", len(data)) + data


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _pad(file: BinaryIO, position: int) -> None:
    file.write(bytes(position - file.tell()))
