"""Parses the front of one GGUF file (v2 and v3, little endian): its metadata and its table of tensors.

The file is hostile until shown otherwise: lengths, counts, types, dimensions and offsets are checked before they are
used, and tensor data is never read. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It does not know
what the metadata means; `gguf.py` does.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from webui.errors import DamagedGguf, NotGguf, UnsupportedModel, format_bytes
from webui.library.byte_reader import ByteReader, KnownArrays, MalformedBytes
from webui.library.gguf_metadata import Metadata, MetadataValue, Span
from webui.library.gguf_tensors import TensorTable, padded, read_alignment

MAGIC = b"GGUF"

# Far above any real model (the longest known header is some 20 MB, of a 256k vocabulary), far below what would hurt.
_MAX_HEADER_BYTES = 64 << 20
_MAX_KEYS = 1 << 16
_MAX_TENSORS = 1 << 17

_U32 = struct.Struct("<I")
_COUNTS = struct.Struct("<QQ")


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
            # What was known may have misled: then the file is looked at again without it.
            with suppress(MalformedBytes, DamagedGguf, UnsupportedModel):
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
    metadata = Metadata()
    for _ in range(num_keys):
        metadata.read(reader)
    tensors = TensorTable(read_alignment(metadata.values), name)
    for _ in range(num_tensors):
        tensors.read(reader)
    data_start = padded(reader.position, tensors.alignment)
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
