"""A form with a file, however the network cuts it and whatever is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.api.errors import ParameterError
from webui.api.multipart import MAX_FIELD_BYTES, MAX_PARTS, Form, read_form

HEADERS = {"content-type": "multipart/form-data; boundary=b"}
PIECES = st.sampled_from([b"\r\n--", b"--b", b"\r\n--b", b"\r", b"\n", b"--", b"x", b"\x00\xff"])
CONTENTS = st.lists(PIECES).map(b"".join)


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    file = f'; filename="{file_name}"' if file_name is not None else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def read(body: bytes, size: int = 1000) -> tuple[Form, bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read_all() -> tuple[Form, bytes]:
        content = bytearray()

        async def write(data: bytes) -> None:
            content.extend(data)

        return await read_form(HEADERS, chunks(), "file", write), bytes(content)

    return asyncio.run(read_all())


@given(CONTENTS.filter(lambda content: b"\r\n--b" not in b"\r\n" + content), st.integers(1, 60))
def test_a_file_comes_out_as_it_was_however_it_is_cut(content: bytes, size: int) -> None:
    body = part("purpose", b"batch") + part("file", content, "a.txt") + part("after", b"x") + b"--b--\r\n"
    form, received = read(body, size)
    assert (received, form.file_name, form.fields) == (content, "a.txt", {"purpose": "batch", "after": "x"})


@given(st.binary(max_size=200), st.integers(1, 20))
def test_whatever_else_comes_is_refused_in_words(body: bytes, size: int) -> None:
    with pytest.raises(ParameterError):
        read(b"--b\r\n" + body, size)


def test_what_is_too_much_is_refused() -> None:
    for body in (
        part("purpose", b"x" * (MAX_FIELD_BYTES + 1)),
        part("a", b"") * (MAX_PARTS + 1),
        b"--b\r\n" + b"X-Long: " + b"y" * 100_000,
    ):
        with pytest.raises(ParameterError):
            read(body)
