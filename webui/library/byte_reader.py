"""Reads little-endian values from the front of a file that nobody vouches for.

A window of the file is held, never the file; every read is checked against the file's size and against a limit for the
whole header, so that time and memory stay bounded whatever the bytes say. It does not know what the values mean.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_WINDOW_BYTES = 1 << 18
_LONG_ARRAY = 1000
_PROBE_BYTES = 1 << 12
_MAX_KNOWN_OF_A_LENGTH = 8
_LENGTH = struct.Struct("<Q")


class MalformedBytes(Exception):
    """What the bytes claim cannot be; the text is a phrase for people. The caller knows the file's name."""


@dataclass(frozen=True, slots=True)
class KnownArray:
    """How long a string array is in the file, its first bytes and its last."""

    num_bytes: int
    head: bytes
    tail: bytes


class KnownArrays:
    """Long string arrays of the files read so far, for the length of one scan: most models share their vocabulary with
    others, and only where it ends is wanted. That is where the other one's ends, when both begin and end alike: two
    ends are compared, and not the megabytes between them, which takes a hundredth of the time of walking through."""

    def __init__(self) -> None:
        self._ends: dict[int, list[KnownArray]] = {}

    def with_length(self, count: int) -> list[KnownArray]:
        return self._ends.get(count, [])

    def add(self, count: int, array: KnownArray) -> None:
        if len(self.with_length(count)) < _MAX_KNOWN_OF_A_LENGTH:
            self._ends.setdefault(count, []).append(array)


class ByteReader:
    """`position` counts from the start of the file; `limit_bytes` is where a header must have ended."""

    def __init__(self, file: BinaryIO, size_bytes: int, limit_bytes: int, known: KnownArrays | None = None) -> None:
        self._known = known
        self._file = file
        self._size = size_bytes
        self._end = min(size_bytes, limit_bytes)
        self._window = b""
        self._window_start = 0
        self._cursor = 0

    @property
    def position(self) -> int:
        return self._window_start + self._cursor

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        self._require(count)
        start = self._cursor
        self._cursor += count
        return self._window[start : self._cursor]

    def unpack(self, layout: struct.Struct) -> tuple[int | float, ...]:
        self._require(layout.size)
        values = layout.unpack_from(self._window, self._cursor)
        self._cursor += layout.size
        return values

    def skip(self, count: int) -> None:
        """Move on without reading what is left out."""
        self._check(count)
        if self._cursor + count <= len(self._window):
            self._cursor += count
        else:
            self._move_window(self.position + count)

    def skip_strings(self, count: int) -> None:
        """Skip `count` length-prefixed strings."""
        if self._known is None or count < _LONG_ARRAY:
            self._walk_strings(count)
            return
        start = self.position
        if any(self._skip_known(array) for array in self._known.with_length(count)):
            return
        self._walk_strings(count)
        num_bytes = self.position - start
        num_probed = min(num_bytes, _PROBE_BYTES)
        self._move_window(start, num_probed)
        head = self.read(num_probed)
        self._move_window(start + num_bytes - num_probed, num_probed)
        self._known.add(count, KnownArray(num_bytes, head, self.read(num_probed)))

    def _skip_known(self, array: KnownArray) -> bool:
        """Go behind an array that begins and ends like this one; stay where it does not."""
        start = self.position
        if array.num_bytes > self._end - start:
            return False
        self._require(len(array.head))
        if not self._window.startswith(array.head, self._cursor):
            return False
        self._move_window(start + array.num_bytes - len(array.tail), len(array.tail))
        if self.read(len(array.tail)) == array.tail:
            return True
        self._move_window(start)
        return False

    def _walk_strings(self, count: int) -> None:
        """The vocabulary: this loop is what reading a header costs."""
        self._check(count * _LENGTH.size)
        unpack_from = _LENGTH.unpack_from
        while count:
            self._require(_LENGTH.size)
            window, cursor = self._window, self._cursor
            try:
                while count:
                    (length,) = unpack_from(window, cursor)
                    cursor += 8 + length
                    count -= 1
            except (struct.error, OverflowError):  # past the window: move on below, or find the length absurd
                pass
            if self._window_start + cursor > self._end:
                raise self._ended()
            if cursor <= len(window):
                self._cursor = cursor
            else:
                self._move_window(self._window_start + cursor)

    def _require(self, count: int) -> None:
        self._check(count)
        if self._cursor + count > len(self._window):
            self._move_window(self.position, count)

    def _check(self, count: int) -> None:
        if count > self._end - self.position:
            raise self._ended()

    def _move_window(self, start: int, count: int = 0) -> None:
        self._file.seek(start)
        self._window = self._file.read(min(max(count, _WINDOW_BYTES), self._end - start))
        self._window_start, self._cursor = start, 0
        if len(self._window) < count:  # the file shrank under our hands
            raise self._ended()

    def _ended(self) -> MalformedBytes:
        if self._end < self._size:
            return MalformedBytes("its header is impossibly long")
        return MalformedBytes("it ends inside its header")
