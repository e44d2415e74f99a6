"""A form with one file in it (`multipart/form-data`), read while it comes: the file is passed on piece by piece.

python-multipart finds the parts. Nothing but the short fields is held in memory, and nothing goes through a temporary
folder, which may be small. It does not know what the fields mean.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from webui.api.errors import ParameterError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 32
MAX_FIELD_BYTES = 64 * 1024

Write = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Form:
    """What came beside the content of the file."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str | None = None  #: None: there was no file


async def read_form(headers: Mapping[str, str], chunks: AsyncIterator[bytes], file_field: str, write: Write) -> Form:
    """The form; `write` gets the content of the field `file_field`. Raises ParameterError, and what `write` raises."""
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ParameterError(file_field, "Send the file in a form (multipart/form-data), as `curl -F` does.")
    parts = _Parts(file_field)
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks)
        async for chunk in chunks:
            parser.write(chunk)
            for data in parts.take_content():
                await write(data)
        parser.finalize()
    except FormParserError as error:
        raise ParameterError(file_field, f"The form cannot be read: {error}") from None
    if not parts.is_whole:
        raise ParameterError(file_field, "The form ends in the middle. Send it again.")
    if parts.form.file_name is None:
        raise ParameterError(file_field, f"The form has no file in “{file_field}”.")
    return parts.form


class _Parts:
    """What the parser says, put together."""

    def __init__(self, file_field: str) -> None:
        self.form = Form()
        self.is_whole = False
        self._file_field = file_field
        self._num_parts = 0
        self._header = (b"", b"")  # name and value of the one that is being read
        self._disposition = b""
        self._name: str | None = None  # of the field that is being read; None for the file
        self._value = bytearray()
        self._content: list[bytes] = []

    @property
    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._read_header_name,
            "on_header_value": self._read_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._read_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def take_content(self) -> list[bytes]:
        """Of the file, since the last time."""
        content, self._content = self._content, []
        return content

    def _begin_part(self) -> None:
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise ParameterError(self._file_field, f"The form has more than {MAX_PARTS} parts.")
        self._disposition = b""

    def _read_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], b"")

    def _read_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = (b"", b"")

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        self._value.clear()
        self._name = None if name == self._file_field and file_name is not None else name
        if self._name is None:
            if self.form.file_name is not None:
                raise ParameterError(self._file_field, "The form has two files. Send one at a time.")
            self.form.file_name = (file_name or b"").decode("utf-8", "replace")

    def _read_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            self._content.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise ParameterError(self._name, f"“{self._name[:40]}” is longer than {MAX_FIELD_BYTES:,} bytes.")

    def _end_part(self) -> None:
        if self._name is not None:
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self.is_whole = True
