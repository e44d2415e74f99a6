"""Where everything lies in a model's files: each metadata value and each tensor as a stretch of bytes.

A file is copied from its layout without being understood, so nothing that this version does not know is lost. The
library's reader looks at every file first and refuses what is hostile or damaged; this walks the same bytes again,
checked against the same limits, and keeps positions. It never reads tensor data and does not write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from webui.errors import DamagedGguf
from webui.library.byte_reader import ByteReader, MalformedBytes
from webui.library.ggml_types import TENSOR_TYPES, TensorType
from webui.library.gguf import read_header
from webui.library.gguf_file import parse_gguf_file
from webui.library.split import list_parts

ALIGNMENT_KEY = "general.alignment"
DEFAULT_ALIGNMENT = 32
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")

_MAX_HEADER_BYTES = 64 << 20
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
_ARRAY_HEAD = struct.Struct("<IQ")
_TENSOR_TAIL = struct.Struct("<IQ")
_STRING, _ARRAY = 8, 9
#: bytes of a value by its type in the format; strings and arrays say themselves
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes of a file from `start` on."""

    path: Path
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One metadata value: `content` is its type and its bytes as in the file, without the key."""

    key: str
    content: Span | bytes

    @property
    def content_size(self) -> int:
        return self.content.size if isinstance(self.content, Span) else len(self.content)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `dimensions` as ggml counts them, the length of a row first."""

    name: str
    dimensions: tuple[int, ...]
    kind: int  #: a number of `TENSOR_TYPES`
    data: Span

    @property
    def type(self) -> TensorType:
        return TENSOR_TYPES[self.kind]

    @property
    def num_rows(self) -> int:
        rows = 1
        for each in self.dimensions[1:]:
            rows *= each
        return rows

    def size_as(self, kind: int) -> int:
        """Bytes that it would take in another type."""
        return data_size(self.dimensions, kind)


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole model, all parts of it. `entries` are the first part's, without what says that it is split."""

    name: str
    num_parts: int
    alignment: int
    entries: tuple[Entry, ...]
    tensors: tuple[Tensor, ...]
    file_bytes: int


def read_layout(path: Path) -> Layout:
    """Raises as `library.gguf.read_header`."""
    read_header(path)
    parts = [read_file_layout(part) for part in list_parts(path)]
    first = parts[0]
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise DamagedGguf(path.name, "a tensor comes twice")
    return Layout(
        name=path.name,
        num_parts=len(parts),
        alignment=first.alignment,
        entries=tuple(entry for entry in first.entries if entry.key not in SPLIT_KEYS),
        tensors=tensors,
        file_bytes=sum(part.file_bytes for part in parts),
    )


def padded(size: int, alignment: int) -> int:
    return (size + alignment - 1) // alignment * alignment


def read_file_layout(path: Path) -> Layout:
    """Of one file by itself, which need not be a model. Raises as `library.gguf_file.parse_gguf_file`."""
    alignment = parse_gguf_file(path).metadata.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
    assert isinstance(alignment, int)  # noqa: S101 - the library's reader has checked it
    with path.open("rb") as file:
        size = path.stat().st_size
        reader = ByteReader(file, size, _MAX_HEADER_BYTES)
        try:
            reader.skip(4 + _U32.size)  # the magic and the version
            num_tensors, num_entries = (int(count) for count in reader.unpack(_COUNTS))
            entries = tuple(_read_entry(reader, path) for _ in range(num_entries))
            heads = [_read_tensor_head(reader) for _ in range(num_tensors)]
        except MalformedBytes as error:  # it changed since it was checked
            raise DamagedGguf(path.name, str(error)) from None
        data_start = padded(reader.position, alignment)
    tensors = tuple(
        Tensor(name, dimensions, kind, Span(path, data_start + offset, data_size(dimensions, kind)))
        for name, dimensions, kind, offset in heads
    )
    return Layout(path.name, 1, alignment, entries, tensors, size)


def _read_entry(reader: ByteReader, path: Path) -> Entry:
    key = _read_string(reader)
    start = reader.position
    _skip_value(reader, int(reader.unpack(_U32)[0]))
    return Entry(key, Span(path, start, reader.position - start))


def _skip_value(reader: ByteReader, kind: int) -> None:
    if kind == _STRING:
        reader.skip(int(reader.unpack(_U64)[0]))
    elif kind != _ARRAY:
        reader.skip(_SIZES[kind])
    else:
        inner, count = (int(value) for value in reader.unpack(_ARRAY_HEAD))
        if inner == _STRING:
            reader.skip_strings(count)
        elif inner == _ARRAY:
            for _ in range(count):
                _skip_value(reader, _ARRAY)
        else:
            reader.skip(count * _SIZES[inner])


def _read_tensor_head(reader: ByteReader) -> tuple[str, tuple[int, ...], int, int]:
    name = _read_string(reader)
    num_dimensions = int(reader.unpack(_U32)[0])
    dimensions = tuple(int(each) for each in reader.unpack(struct.Struct(f"<{num_dimensions}Q")))
    kind, offset = (int(value) for value in reader.unpack(_TENSOR_TAIL))
    return name, dimensions, kind, offset


def _read_string(reader: ByteReader) -> str:
    """Bytes that are no text survive the way back."""
    return reader.read(int(reader.unpack(_U64)[0])).decode("utf-8", "surrogateescape")


def data_size(dimensions: tuple[int, ...], kind: int) -> int:
    elements = 1
    for each in dimensions:
        elements *= each
    tensor_type = TENSOR_TYPES[kind]
    return elements // tensor_type.block_length * tensor_type.block_bytes
