"""Parses the front of one GGUF file (v2 and v3, little endian): its metadata and its table of tensors.

The file is hostile until shown otherwise: lengths, counts, types, dimensions and offsets are checked before they are
used, and tensor data is never read. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It does not know
what the metadata means; `gguf.py` does.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from webui.errors import DamagedGguf, NotGguf, UnsupportedModel, format_bytes
from webui.library.byte_reader import ByteReader, KnownArrays, MalformedBytes
from webui.library.ggml_types import TENSOR_TYPES

MAGIC = b"GGUF"

# Far above any real model (the longest known header is some 20 MB, of a 256k vocabulary), far below what would hurt.
_MAX_HEADER_BYTES = 64 << 20
_MAX_KEYS = 1 << 16
_MAX_KEY_BYTES = 1 << 16
_MAX_TENSORS = 1 << 17
_MAX_NAME_BYTES = 1 << 10
_MAX_KEPT_STRING_BYTES = 1 << 20
_MAX_KEPT_STRINGS_BYTES = 8 << 20
_MAX_KEPT_NUMBERS = 1 << 18
_MAX_KEPT_ARRAY_LENGTH = 1 << 12  # one number per layer is kept, one per token is not
_MAX_KEPT_LIST_LENGTH = 1 << 6  # of short texts: tags and languages are kept, words are not
_MAX_LISTED_TEXT_BYTES = 1 << 8
_MAX_DIMENSIONS = 4
_MAX_ARRAY_DEPTH = 4
_MAX_ALIGNMENT = 1 << 20

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
_ARRAY_HEAD = struct.Struct("<IQ")
_TENSOR_TAIL = struct.Struct("<IQ")
_SCALARS = {
    number: struct.Struct(f"<{code}")
    for number, code in ((0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"), (6, "f"), (7, "?"))
} | {number: struct.Struct(f"<{code}") for number, code in ((10, "Q"), (11, "q"), (12, "d"))}
_STRING = 8
_ARRAY = 9
_LAYER = re.compile(r"blk\.(\d{1,4})\.")

Scalar = int | float | str
MetadataValue = Scalar | tuple[int | float, ...] | tuple[str, ...]
Span = tuple[int, int]  # first byte, and the one behind the last


@dataclass(frozen=True, slots=True)
class GgufFile:
    """One file's metadata and the sums over its tensors. `layer_bytes` maps the N of "blk.N." to bytes, `other_bytes`
    the names of all other tensors. Arrays that are long are only in `array_lengths`; `text_spans` tells where in the
    file the texts of such an array lie."""

    version: int
    file_bytes: int
    tensor_bytes: int
    num_tensors: int
    num_elements: int
    metadata: dict[str, MetadataValue]
    array_lengths: dict[str, int]
    text_spans: dict[str, Span] = field(default_factory=dict)
    type_bytes: dict[str, int] = field(default_factory=dict)
    type_tensors: dict[str, int] = field(default_factory=dict)  #: tensors of each type
    layer_bytes: dict[int, int] = field(default_factory=dict)
    other_bytes: dict[str, int] = field(default_factory=dict)


def parse_gguf_file(path: Path, name: str | None = None, known: KnownArrays | None = None) -> GgufFile:
    """Raises NotGguf, DamagedGguf, UnsupportedModel, or OSError when it cannot be read. `name` is for the messages,
    `known` makes reading many files faster."""
    name = name or path.name
    if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
        raise NotGguf(name)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if known is not None:
            with suppress(
                MalformedBytes, DamagedGguf, UnsupportedModel
            ):  # what was known may have misled: look again without it
                return _parse(ByteReader(file, size, _MAX_HEADER_BYTES, known), size, name)
        try:
            return _parse(ByteReader(file, size, _MAX_HEADER_BYTES), size, name)
        except MalformedBytes as error:
            raise DamagedGguf(name, str(error)) from None


def parse_gguf_start(data: bytes, file_bytes: int, name: str) -> GgufFile:
    """The same from the first bytes of a file that is elsewhere. Raises DamagedGguf too when its header is longer."""
    try:
        return _parse(ByteReader(io.BytesIO(data), len(data), _MAX_HEADER_BYTES), file_bytes, name)
    except MalformedBytes as error:
        raise DamagedGguf(name, str(error)) from None


def _parse(reader: ByteReader, size: int, name: str) -> GgufFile:
    if size == 0:
        raise MalformedBytes("it is empty")
    if size < len(MAGIC) or reader.read(len(MAGIC)) != MAGIC:
        raise NotGguf(name)
    version = _read_version(reader, name)
    num_tensors, num_keys = (int(count) for count in reader.unpack(_COUNTS))
    if num_keys > _MAX_KEYS or num_tensors > _MAX_TENSORS:
        raise MalformedBytes("its header counts more entries than any model has")
    metadata = _Metadata()
    for _ in range(num_keys):
        metadata.read(reader)
    tensors = _TensorTable(_alignment(metadata.values), name)
    for _ in range(num_tensors):
        tensors.read(reader)
    data_start = _padded(reader.position, tensors.alignment)
    if num_tensors and data_start + tensors.data_end > size:
        whole = format_bytes(data_start + tensors.data_end)
        raise MalformedBytes(f"truncated: {format_bytes(size)} of {whole}")
    return GgufFile(
        version=version,
        file_bytes=size,
        tensor_bytes=tensors.total_bytes,
        num_tensors=num_tensors,
        num_elements=tensors.num_elements,
        metadata=metadata.values,
        array_lengths=metadata.array_lengths,
        text_spans=metadata.text_spans,
        type_bytes=tensors.type_bytes,
        type_tensors=tensors.type_tensors,
        layer_bytes=tensors.layer_bytes,
        other_bytes=tensors.other_bytes,
    )


def _read_version(reader: ByteReader, name: str) -> int:
    version = int(reader.unpack(_U32)[0])
    if version in {2, 3}:
        return version
    if version == 1:
        raise UnsupportedModel(name, "it is in the first GGUF version of 2023; get a newer conversion of the model")
    if version & 0xFFFF == 0 and version:
        raise UnsupportedModel(name, "it was written for big-endian machines")
    if version > 1000 or version == 0:
        raise MalformedBytes("its version number makes no sense")
    raise UnsupportedModel(name, f"it is in GGUF version {version}, which this Glasshouse does not know yet")


# --- metadata ------------------------------------------------------------------------------------------------------


class _Metadata:
    """Keys and values as they are read, those that are kept in bounded memory."""

    def __init__(self) -> None:
        self.values: dict[str, MetadataValue] = {}
        self.array_lengths: dict[str, int] = {}
        self.text_spans: dict[str, Span] = {}
        self._text_room = _MAX_KEPT_STRINGS_BYTES
        self._number_room = _MAX_KEPT_NUMBERS

    def read(self, reader: ByteReader) -> None:
        key = _read_string(reader, _MAX_KEY_BYTES, "a metadata key")
        kind = int(reader.unpack(_U32)[0])
        if key in self.values or key in self.array_lengths:
            raise MalformedBytes("a metadata key comes twice")
        if kind == _ARRAY:
            self._read_array(reader, key)
        elif kind == _STRING:
            length = _read_length(reader)
            text = self._read_text(reader, length, _MAX_KEPT_STRING_BYTES)
            if text is not None:
                self.values[key] = text
        else:
            self.values[key] = reader.unpack(_scalar(kind))[0]

    def _read_array(self, reader: ByteReader, key: str) -> None:
        kind, length = (int(value) for value in reader.unpack(_ARRAY_HEAD))
        self.array_lengths[key] = length
        start = reader.position
        if kind in _SCALARS and length <= min(_MAX_KEPT_ARRAY_LENGTH, self._number_room):
            scalar = _scalar(kind)
            self.values[key] = reader.unpack(struct.Struct(f"<{length}{scalar.format[-1]}"))
            self._number_room -= length
        elif kind == _STRING and length <= _MAX_KEPT_LIST_LENGTH:
            texts = [self._read_text(reader, _read_length(reader), _MAX_LISTED_TEXT_BYTES) for _ in range(length)]
            self.values[key] = tuple(text for text in texts if text is not None)
        else:
            _skip_elements(reader, kind, length, _MAX_ARRAY_DEPTH)
            if kind == _STRING:
                self.text_spans[key] = (start, reader.position)

    def _read_text(self, reader: ByteReader, length: int, max_bytes: int) -> str | None:
        """None for a text that is too long to keep, or for which there is no room any more."""
        if length > min(max_bytes, self._text_room):
            reader.skip(length)
            return None
        self._text_room -= length
        return reader.read(length).decode("utf-8", "replace")


def _skip_elements(reader: ByteReader, kind: int, length: int, depth: int) -> None:
    if kind == _STRING:
        reader.skip_strings(length)
    elif kind != _ARRAY:
        reader.skip(length * _scalar(kind).size)
    elif depth == 0:
        raise MalformedBytes("its arrays are nested too deeply")
    else:
        for _ in range(length):  # every turn reads at least 12 bytes of a bounded header
            inner_kind, inner_length = (int(value) for value in reader.unpack(_ARRAY_HEAD))
            _skip_elements(reader, inner_kind, inner_length, depth - 1)


def _scalar(kind: int) -> struct.Struct:
    scalar = _SCALARS.get(kind)
    if scalar is None:
        raise MalformedBytes("a metadata value has a type that does not exist")
    return scalar


def _read_length(reader: ByteReader) -> int:
    return int(reader.unpack(_U64)[0])


def _read_string(reader: ByteReader, max_bytes: int, what: str) -> str:
    length = _read_length(reader)
    if length > max_bytes:
        raise MalformedBytes(f"{what} is impossibly long")
    return reader.read(length).decode("utf-8", "replace")


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise MalformedBytes("its alignment is not a power of two")
    return alignment


def _padded(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment


# --- tensors -------------------------------------------------------------------------------------------------------


class _TensorTable:
    """Sums up tensors as they are read. They must follow each other without gap or overlap, as ggml demands too."""

    def __init__(self, alignment: int, file_name: str) -> None:
        self.alignment = alignment
        self.num_elements = 0
        self.total_bytes = 0
        self.data_end = 0  #: behind the last tensor, from the start of the data
        self.type_bytes: dict[str, int] = {}
        self.type_tensors: dict[str, int] = {}
        self.layer_bytes: dict[int, int] = {}
        self.other_bytes: dict[str, int] = {}
        self._file_name = file_name
        self._next_offset = 0

    def read(self, reader: ByteReader) -> None:
        name = _read_string(reader, _MAX_NAME_BYTES, "a tensor's name")
        num_dimensions = int(reader.unpack(_U32)[0])
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise MalformedBytes(f"a tensor has {num_dimensions} dimensions")
        dimensions = [int(each) for each in reader.unpack(struct.Struct(f"<{num_dimensions}Q"))]
        kind, offset = (int(value) for value in reader.unpack(_TENSOR_TAIL))
        elements, size = self._measure(dimensions, kind)
        if offset != self._next_offset:
            raise MalformedBytes("its tensors are not where the header says")
        self._next_offset = _padded(offset + size, self.alignment)
        self.data_end = offset + size
        self.num_elements += elements
        self._add(name, TENSOR_TYPES[kind].name, size)

    def _measure(self, dimensions: list[int], kind: int) -> tuple[int, int]:
        tensor_type = TENSOR_TYPES.get(kind)
        if tensor_type is None:
            raise UnsupportedModel(self._file_name, f"it holds tensors of a type ({kind}) that llama.cpp does not know")
        elements = 1
        for each in dimensions:
            elements *= each
        if not 0 < elements < 1 << 62 or dimensions[0] % tensor_type.block_length:
            raise MalformedBytes("a tensor has an impossible shape")
        return elements, elements // tensor_type.block_length * tensor_type.block_bytes

    def _add(self, name: str, type_name: str, size: int) -> None:
        self.total_bytes += size
        self.type_bytes[type_name] = self.type_bytes.get(type_name, 0) + size
        self.type_tensors[type_name] = self.type_tensors.get(type_name, 0) + 1
        layer = _LAYER.match(name)
        if layer:
            number = int(layer[1])
            self.layer_bytes[number] = self.layer_bytes.get(number, 0) + size
        else:
            self.other_bytes[name] = self.other_bytes.get(name, 0) + size
