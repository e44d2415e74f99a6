"""What a batch has written so far: one line for each request that is done, in a file that grows at its end only.

The file is the account of how far the batch is: a line that a kill cut off is taken back, and whoever has one is not
asked again. Everything blocks: call it in a thread. Raises OSError.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from webui.core.files import write_all
from webui.types import Usage

NO_USAGE = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)


class _Details(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    """In the words of any endpoint."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _Body(msgspec.Struct):
    usage: _Usage | None = None


class _Response(msgspec.Struct):
    body: _Body


class _Written(msgspec.Struct):
    custom_id: str
    response: _Response | None = None


_LINES = msgspec.json.Decoder(_Written)
_BODIES = msgspec.json.Decoder(_Body)


class BatchOutput:
    """One of a batch's two files, open for what comes next. `done` are the requests that it has."""

    def __init__(self, path: Path) -> None:
        """Takes a torn last line back."""
        self.done: set[str] = set()
        self.usage = NO_USAGE
        self._file: BinaryIO = path.open("a+b", buffering=0)
        self._size = self._recover()
        self._file.truncate(self._size)

    @property
    def size_bytes(self) -> int:
        return self._size

    def append(self, custom_id: str, line: bytes, usage: Usage) -> None:
        """A line that does not fit on the disk leaves nothing behind."""
        try:
            write_all(self._file, line + b"\n")
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line) + 1
        self.done.add(custom_id)
        self.usage = add_usage(self.usage, usage)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _recover(self) -> int:
        """The length of what is whole."""
        size = 0
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as whole_lines:
            for line in whole_lines:
                try:
                    written = _LINES.decode(line)
                except msgspec.DecodeError:
                    break
                if not line.endswith(b"\n"):
                    break
                self.done.add(written.custom_id)
                self.usage = add_usage(self.usage, _to_usage(written.response.body if written.response else None))
                size += len(line)
        return size


def usage_of(body: bytes) -> Usage:
    """What an answer says of its tokens, in the words of any endpoint."""
    return _to_usage(_BODIES.decode(body))


def add_usage(one: Usage, other: Usage) -> Usage:
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
    )


def _to_usage(body: _Body | None) -> Usage:
    found = body.usage if body is not None else None
    if found is None:
        return NO_USAGE
    details = found.prompt_tokens_details or found.input_tokens_details or _Details()
    return Usage(
        prompt_tokens=found.prompt_tokens or found.input_tokens,
        cached_tokens=details.cached_tokens,
        completion_tokens=found.completion_tokens or found.output_tokens,
    )
