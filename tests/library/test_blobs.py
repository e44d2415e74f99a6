"""Blobs: whole or not at all, and none that lies about for ever."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.library.gguf_files import write_model
from webui.errors import BlobMismatch, DiskFull, FileExists, InvalidDigest, InvalidFileName
from webui.library.blobs import Blobs


class _Gone(Exception):
    """The client hung up."""


async def send(content: bytes) -> AsyncIterator[bytes]:
    yield content[:7]
    yield content[7:]


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_model(tmp_path / "source.gguf").read_bytes()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_a_blob_becomes_a_model_once(tmp_path: Path, content: bytes) -> None:
    blobs, digest = Blobs(tmp_path / "models"), digest_of(content)
    await blobs.receive(digest, send(content), len(content))
    assert blobs.has(digest)
    assert blobs.publish(digest, "mine.gguf").read_bytes() == content
    assert not blobs.has(digest), "nothing is kept twice"
    await blobs.receive(digest, send(content))
    with pytest.raises(FileExists):
        blobs.publish(digest, "mine.gguf")
    with pytest.raises(InvalidFileName):
        blobs.publish(digest, "../mine.gguf")


async def test_nothing_is_kept_of_what_is_not_whole(tmp_path: Path, content: bytes) -> None:
    blobs, digest = Blobs(tmp_path / "models"), digest_of(content)

    async def break_off() -> AsyncIterator[bytes]:
        yield content[:7]
        raise _Gone

    with pytest.raises(BlobMismatch):
        await blobs.receive(digest, send(content[:-1]))
    with pytest.raises(_Gone):
        await blobs.receive(digest, break_off())
    with pytest.raises(DiskFull):
        await blobs.receive(digest, send(content), 1 << 60)
    with pytest.raises(InvalidDigest):
        blobs.has("sha256:../../etc/passwd")
    assert list((tmp_path / "models" / ".blobs").iterdir()) == []


async def test_leftovers_go_with_the_next_start(tmp_path: Path, content: bytes) -> None:
    blobs, digest = Blobs(tmp_path / "models"), digest_of(content)
    await blobs.receive(digest, send(content))
    [kept] = (tmp_path / "models" / ".blobs").iterdir()
    kept.with_name(f"{kept.name}.ab.part").write_bytes(b"half")
    blobs.sweep()
    assert list(kept.parent.iterdir()) == [kept]
    os.utime(kept, (0, 0))
    blobs.sweep()
    assert list(kept.parent.iterdir()) == []
