"""Reads the metadata of a GGUF file: keys, texts, numbers and lists, those that are kept in bounded memory.

Every length and type is checked before it is used; long lists (a vocabulary) are skipped and only their place is noted.
It does not know what a key means.
"""

from __future__ import annotations

import struct

from webui.library.byte_reader import ByteReader, MalformedBytes

_MAX_KEY_BYTES = 1 << 16
_MAX_KEPT_STRING_BYTES = 1 << 20
_MAX_KEPT_STRINGS_BYTES = 8 << 20
_MAX_KEPT_NUMBERS = 1 << 18
_MAX_KEPT_ARRAY_LENGTH = 1 << 12  # one number per layer is kept, one per token is not
_MAX_KEPT_LIST_LENGTH = 1 << 6  # of short texts: tags and languages are kept, words are not
_MAX_LISTED_TEXT_BYTES = 1 << 8
_MAX_ARRAY_DEPTH = 4

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_ARRAY_HEAD = struct.Struct("<IQ")
_SCALARS = {
    number: struct.Struct(f"<{code}")
    for number, code in ((0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"), (6, "f"), (7, "?"))
} | {number: struct.Struct(f"<{code}") for number, code in ((10, "Q"), (11, "q"), (12, "d"))}
_STRING = 8
_ARRAY = 9

Scalar = int | float | str
MetadataValue = Scalar | tuple[int | float, ...] | tuple[str, ...]
Span = tuple[int, int]  # first byte, and the one behind the last


class Metadata:
    """Keys and values as they are read, those that are kept in bounded memory."""

    def __init__(self) -> None:
        self.values: dict[str, MetadataValue] = {}
        self.array_lengths: dict[str, int] = {}
        self.text_spans: dict[str, Span] = {}
        self._text_room = _MAX_KEPT_STRINGS_BYTES
        self._number_room = _MAX_KEPT_NUMBERS

    def read(self, reader: ByteReader) -> None:
        key = read_string(reader, _MAX_KEY_BYTES, "a metadata key")
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


def read_string(reader: ByteReader, max_bytes: int, what: str) -> str:
    """A text behind its length; `what` is for the message when it is too long."""
    length = _read_length(reader)
    if length > max_bytes:
        raise MalformedBytes(f"{what} is impossibly long")
    return reader.read(length).decode("utf-8", "replace")
