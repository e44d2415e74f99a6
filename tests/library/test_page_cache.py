"""What is imported or fetched goes past the page cache where it can, and arrives whole where it cannot."""

from __future__ import annotations

import errno
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiofiles.threadpool.binary import AsyncFileIO

from tests.library.gguf_files import write_model
from webui.library.hub.received_file import ReceivedFile
from webui.library.page_cache import BLOCK_BYTES, PageCacheBypass, block_buffer
from webui.library.uploads import Uploads

if sys.platform != "linux":
    pytest.skip("only Linux is asked for it", allow_module_level=True)

import fcntl
import os


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_model(tmp_path_factory.mktemp("sound") / "sound.gguf", vocab=120_000).read_bytes()


def is_past_the_cache(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def test_whole_blocks_at_a_block_go_past_the_cache(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        bypass = PageCacheBypass(file.fileno())
        ways = []
        for offset, num_bytes in ((0, BLOCK_BYTES), (BLOCK_BYTES, 100), (0, 3 * BLOCK_BYTES), (100, BLOCK_BYTES)):
            bypass.choose(offset, num_bytes)
            ways.append(is_past_the_cache(file.fileno()))
    assert ways == [True, False, True, False]


def test_a_file_system_that_refuses_is_asked_once(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        bypass = PageCacheBypass(file.fileno())
        assert not bypass.give_up(), "this write went through the cache: another attempt would end the same"
        bypass = PageCacheBypass(file.fileno())
        bypass.choose(0, BLOCK_BYTES)
        assert bypass.give_up()
        bypass.choose(0, BLOCK_BYTES)
        assert not is_past_the_cache(file.fileno())


def test_the_memory_begins_at_a_block(tmp_path: Path) -> None:
    """Else the system would refuse it, and everything would go through the cache for ever."""
    data = block_buffer(2 * BLOCK_BYTES)
    data[:] = bytes(range(256)) * (len(data) // 256)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        PageCacheBypass(file.fileno()).choose(0, len(data))
        assert file.write(data) == len(data)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("broken_at", [1, 4095, 4096, 1 << 20, (1 << 20) + 77])
async def test_an_import_goes_on_wherever_the_line_broke(tmp_path: Path, content: bytes, broken_at: int) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 60_000):
            yield data[start : start + 60_000]

    uploads = Uploads(tmp_path, free_margin_bytes=0)
    upload = await uploads.start("sound.gguf", len(content))
    await uploads.append(upload.id, 0, pieces(content[:broken_at]))
    assert (await uploads.append(upload.id, broken_at, pieces(content[broken_at:]))).state == "complete"
    assert (tmp_path / "sound.gguf").read_bytes() == content


async def test_an_import_where_the_system_refuses(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, num_refused = AsyncFileIO.write, 0

    async def refuse(file: AsyncFileIO, data: memoryview) -> int:
        nonlocal num_refused
        if is_past_the_cache(file.fileno()):
            num_refused += 1
            raise OSError(errno.EINVAL, "Invalid argument")
        return await write(file, data)

    async def whole() -> AsyncIterator[bytes]:
        yield content

    monkeypatch.setattr(AsyncFileIO, "write", refuse)
    uploads = Uploads(tmp_path, free_margin_bytes=0)
    upload = await uploads.start("sound.gguf", len(content))
    assert (await uploads.append(upload.id, 0, whole())).state == "complete"
    assert (num_refused, (tmp_path / "sound.gguf").read_bytes() == content) == (1, True)


@pytest.mark.parametrize("broken_at", [0, 5, 4096, 100_001])
def test_a_download_goes_on_wherever_it_broke(tmp_path: Path, content: bytes, broken_at: int) -> None:
    part = tmp_path / "0.part"
    part.write_bytes(content[:broken_at])
    with ReceivedFile(part, "sound.gguf", len(content), 0, lambda _: None) as received:
        received.read_what_is_here(lambda _: None)
        for start in range(broken_at, len(content), 1_300_000):
            received.write(content[start : min(start + 1_300_000, len(content))])
    assert part.read_bytes() == content
