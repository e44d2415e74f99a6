"""Reads the table of tensors of a GGUF file, and sums up what they take.

Shapes, types and offsets are checked as ggml checks them; tensor data is never read. It does not know what a model
makes of its tensors, only which belong to a layer.
"""

from __future__ import annotations

import re
import struct

from webui.errors import UnsupportedModel
from webui.library.byte_reader import ByteReader, MalformedBytes
from webui.library.ggml_types import TENSOR_TYPES
from webui.library.gguf_metadata import MetadataValue, read_string

_MAX_NAME_BYTES = 1 << 10
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 20

_U32 = struct.Struct("<I")
_TENSOR_TAIL = struct.Struct("<IQ")
_LAYER = re.compile(r"blk\.(\d{1,4})\.")


def read_alignment(metadata: dict[str, MetadataValue]) -> int:
    """Of every tensor in the file, in bytes."""
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise MalformedBytes("its alignment is not a power of two")
    return alignment


def padded(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment


class TensorTable:
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
        name = read_string(reader, _MAX_NAME_BYTES, "a tensor's name")
        num_dimensions = int(reader.unpack(_U32)[0])
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise MalformedBytes(f"a tensor has {num_dimensions} dimensions")
        dimensions = [int(each) for each in reader.unpack(struct.Struct(f"<{num_dimensions}Q"))]
        kind, offset = (int(value) for value in reader.unpack(_TENSOR_TAIL))
        elements, size = self._measure(dimensions, kind)
        if offset != self._next_offset:
            raise MalformedBytes("its tensors are not where the header says")
        self._next_offset = padded(offset + size, self.alignment)
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
