"""Imports as a browser does them: in pieces, with broken lines, restarts and full disks."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import tracemalloc
from collections import namedtuple
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiofiles.threadpool.binary import AsyncFileIO
from blake3 import blake3

from tests.library.gguf_files import write_model
from webui.errors import (
    DamagedGguf,
    DigestMismatch,
    DiskFull,
    FileExists,
    ImportTakenOver,
    ImportUnderWay,
    InvalidFileName,
    NotGguf,
    OffsetMismatch,
    UnknownUpload,
    UploadTooLong,
    WriteFailed,
)
from webui.library.catalog import Catalog
from webui.library.part_digest import PartDigest
from webui.library.uploads import Uploads

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def uploads(folder: Path) -> Uploads:
    return Uploads(folder, free_margin_bytes=0)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound model of some 3 MB, so that it takes several batches."""
    return write_model(tmp_path_factory.mktemp("sound") / "sound.gguf", vocab=120_000).read_bytes()


def digest_of(data: bytes) -> str:
    return blake3(data).hexdigest()


async def _chunks(data: bytes, size: int = 60_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Line:
    """A body that comes when the test says so, and breaks when the test says so."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def send(self, data: bytes | Exception | None) -> None:
        self._queue.put_nowait(data)

    def is_empty(self) -> bool:
        return self._queue.empty()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (data := await self._queue.get()) is not None:
            if isinstance(data, Exception):
                raise data
            yield data


async def _until(is_true: Callable[[], bool]) -> None:
    """What is waited for happens in a thread, which sets no event."""
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


async def test_a_file_in_one_piece(uploads: Uploads, folder: Path, content: bytes) -> None:
    started = await uploads.start("Tiny-1B-Q4_K_M.gguf", len(content))
    assert (started.offset, started.state) == (0, "receiving")
    done = await uploads.append(started.id, 0, _chunks(content))
    assert (done.offset, done.state, done.error) == (len(content), "complete", None)
    assert _names(folder) == ["Tiny-1B-Q4_K_M.gguf"]
    assert (folder / "Tiny-1B-Q4_K_M.gguf").read_bytes() == content
    assert await uploads.status(started.id) == done


async def test_a_file_in_slices(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("sliced.gguf", len(content))
    for start in range(0, len(content), 1_500_000):
        upload = await uploads.append(upload.id, start, _chunks(content[start : start + 1_500_000]))
    assert upload.state == "complete"
    assert (folder / "sliced.gguf").read_bytes() == content


async def test_a_broken_line_keeps_what_came(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("broken.gguf", len(content))
    line = Line()
    line.send(content[:1_300_000])
    line.send(ConnectionResetError("the phone went into a tunnel"))
    with pytest.raises(ConnectionResetError):
        await uploads.append(upload.id, 0, aiter(line))
    assert (await uploads.status(upload.id)).offset == 1_300_000
    with pytest.raises(OffsetMismatch) as caught:
        await uploads.append(upload.id, 0, _chunks(content))
    assert caught.value.details["expected"] == 1_300_000
    done = await uploads.append(upload.id, 1_300_000, _chunks(content[1_300_000:]))
    assert done.state == "complete"
    assert (folder / "broken.gguf").read_bytes() == content


async def test_a_cancelled_request_keeps_what_came(uploads: Uploads, content: bytes) -> None:
    upload = await uploads.start("left.gguf", len(content))
    line = Line()
    line.send(content[:1_200_000])
    line.send(content[1_200_000:1_250_000])
    request = asyncio.create_task(uploads.append(upload.id, 0, aiter(line)))
    await _until(line.is_empty)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await uploads.status(upload.id)).offset == 1_250_000


async def test_a_cancelled_request_waits_for_the_disk(
    uploads: Uploads, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that still writes must not be outrun by the next request, which would write to the same file."""
    disk_is_ready = asyncio.Event()
    write_began = asyncio.Event()
    write = AsyncFileIO.write

    async def slow_write(self: AsyncFileIO, data: Any) -> int:
        write_began.set()
        await disk_is_ready.wait()
        return await write(self, data)

    monkeypatch.setattr(AsyncFileIO, "write", slow_write)
    upload = await uploads.start("slow.gguf", len(content))
    request = asyncio.create_task(uploads.append(upload.id, 0, _chunks(content[:2_000_000])))
    await write_began.wait()
    request.cancel()
    done, _ = await asyncio.wait([request], timeout=0.05)
    assert not done
    disk_is_ready.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await uploads.status(upload.id)).offset >= 1 << 20


async def test_an_import_goes_on_after_a_restart(folder: Path, content: bytes) -> None:
    before = Uploads(folder, free_margin_bytes=0)
    upload = await before.start("resumed.gguf", len(content))
    await before.append(upload.id, 0, _chunks(content[:2_000_000]))
    after = Uploads(folder, free_margin_bytes=0)
    assert [(each.name, each.offset) for each in await after.list()] == [("resumed.gguf", 2_000_000)]
    again = await after.start("resumed.gguf", len(content))  # as a reloaded page does
    assert (again.id, again.offset) == (upload.id, 2_000_000)
    done = await after.append(again.id, again.offset, _chunks(content[2_000_000:]))
    assert done.state == "complete"
    assert (folder / "resumed.gguf").read_bytes() == content
    assert await after.list() == []


async def test_a_process_that_died_before_the_last_step_finishes_at_the_next_start(
    folder: Path, content: bytes
) -> None:
    first = Uploads(folder, free_margin_bytes=0)
    upload = await first.start("almost.gguf", len(content))
    (folder / "almost.gguf.part").write_bytes(content)
    assert [each.state for each in await Uploads(folder).list()] == ["receiving"]
    after = Uploads(folder, free_margin_bytes=0)
    again = await after.start("almost.gguf", len(content))
    assert (again.id, again.offset, again.state) == (upload.id, len(content), "receiving")
    assert (await after.append(again.id, again.offset, _chunks(b""))).state == "complete"
    assert _names(folder) == ["almost.gguf"]


async def test_a_process_that_died_after_the_last_step_leaves_a_record_that_goes(folder: Path, content: bytes) -> None:
    first = Uploads(folder, free_margin_bytes=0)
    await first.start("done.gguf", len(content))
    (folder / "done.gguf.part").unlink()
    (folder / "done.gguf").write_bytes(content)
    assert await Uploads(folder).list() == []
    assert _names(folder) == ["done.gguf"]


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", "null", '{"id": 1, "name": "../x.gguf", "size_bytes": 5}', "{" * 9000]
)
async def test_records_that_say_nothing_useful_are_passed_over(folder: Path, record: str) -> None:
    _put(folder / "odd.gguf.part.json", record.encode())
    assert await Uploads(folder).list() == []


async def test_a_part_is_never_listed_as_a_model(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("half.gguf", len(content))
    await uploads.append(upload.id, 0, _chunks(content[:-1]))
    catalog = Catalog(folder, [], include_starter=False)
    assert await catalog.scan() == []
    await uploads.append(upload.id, len(content) - 1, _chunks(content[-1:]))
    assert [model.problem for model in await catalog.scan()] == [None]


async def test_what_is_no_gguf_ends_with_its_first_bytes(uploads: Uploads, folder: Path) -> None:
    upload = await uploads.start("film.gguf", 10_000_000)
    line = Line()
    line.send(b"\0\0\0\x20ftypmp42" * 100_000)  # the rest never comes: it must not be waited for
    with pytest.raises(NotGguf):
        await uploads.append(upload.id, 0, aiter(line))
    assert _names(folder) == []
    assert (await uploads.status(upload.id)).state == "failed"
    with pytest.raises(UnknownUpload):
        await uploads.append(upload.id, 0, _chunks(b"GGUF"))


async def test_a_damaged_file_is_refused_when_whole(uploads: Uploads, folder: Path, content: bytes) -> None:
    short = content[: len(content) - 5000]
    upload = await uploads.start("short.gguf", len(short))
    with pytest.raises(DamagedGguf, match="truncated"):
        await uploads.append(upload.id, 0, _chunks(short))
    status = await uploads.status(upload.id)
    assert status.state == "failed"
    assert "truncated" in (status.error or "")
    assert _names(folder) == []


async def test_the_magic_is_checked_however_small_the_pieces(uploads: Uploads, content: bytes) -> None:
    upload = await uploads.start("drops.gguf", len(content))
    for offset in range(6):
        await uploads.append(upload.id, offset, _chunks(content[offset : offset + 1]))
    wrong = await uploads.start("wrong.gguf", len(content))
    await uploads.append(wrong.id, 0, _chunks(b"GG"))
    with pytest.raises(NotGguf):
        await uploads.append(wrong.id, 2, _chunks(b"IF"))


async def test_more_than_announced_is_refused(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("grown.gguf", len(content) - 100_000)
    with pytest.raises(UploadTooLong):
        await uploads.append(upload.id, 0, _chunks(content))
    assert (folder / "grown.gguf.part").stat().st_size <= len(content) - 100_000
    assert not (folder / "grown.gguf").exists()


async def test_cancel_ends_an_append_that_runs_and_removes_the_part(
    uploads: Uploads, folder: Path, content: bytes
) -> None:
    upload = await uploads.start("unwanted.gguf", len(content))
    line = Line()
    line.send(content[:1_500_000])
    request = asyncio.create_task(uploads.append(upload.id, 0, aiter(line)))
    await _until(lambda: (folder / "unwanted.gguf.part").stat().st_size > 0)
    await uploads.cancel(upload.id)
    with pytest.raises(UnknownUpload):
        await request
    assert _names(folder) == []
    for action in (uploads.cancel(upload.id), uploads.status(upload.id)):
        with pytest.raises(UnknownUpload):
            await action
    assert (await uploads.start("unwanted.gguf", len(content))).offset == 0


async def test_a_second_append_takes_over_from_a_dead_connection(
    uploads: Uploads, folder: Path, content: bytes
) -> None:
    upload = await uploads.start("taken.gguf", len(content))
    dead = Line()
    dead.send(content[:1_500_000])
    request = asyncio.create_task(uploads.append(upload.id, 0, aiter(dead)))
    await _until(lambda: dead.is_empty() and (folder / "taken.gguf.part").stat().st_size >= 1 << 20)
    try:
        done = await uploads.append(upload.id, 1_500_000, _chunks(content[1_500_000:]))
    except OffsetMismatch as error:  # the dead one was in the middle of a write: go on from where it came to
        offset = int(error.details["expected"] or 0)
        done = await uploads.append(upload.id, offset, _chunks(content[offset:]))
    assert done.state == "complete"
    assert (folder / "taken.gguf").read_bytes() == content
    with pytest.raises(ImportTakenOver):
        await request


async def test_a_name_that_is_taken_is_refused(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("here.gguf", len(content))
    with pytest.raises(ImportUnderWay):
        await uploads.start("here.gguf", len(content) + 1)
    with pytest.raises(ImportUnderWay):
        await uploads.start("HERE.gguf", len(content))
    await uploads.append(upload.id, 0, _chunks(content))
    with pytest.raises(FileExists):
        await uploads.start("here.gguf", len(content))


async def test_a_file_that_appeared_meanwhile_is_not_overwritten(
    uploads: Uploads, folder: Path, content: bytes
) -> None:
    upload = await uploads.start("mine.gguf", len(content))
    (folder / "mine.gguf").write_bytes(b"somebody copied it here")
    with pytest.raises(FileExists):
        await uploads.append(upload.id, 0, _chunks(content))
    assert (folder / "mine.gguf").read_bytes() == b"somebody copied it here"
    (folder / "mine.gguf").unlink()
    again = await uploads.start("mine.gguf", len(content))
    assert (await uploads.append(again.id, again.offset, _chunks(b""))).state == "complete"  # nothing is sent again


async def test_a_part_of_another_program_is_left_alone(uploads: Uploads, folder: Path) -> None:
    _put(folder / "curl.gguf.part", b"half of something")
    with pytest.raises(FileExists):
        await uploads.start("curl.gguf", 1000)
    assert (folder / "curl.gguf.part").read_bytes() == b"half of something"


@pytest.mark.parametrize(
    "name",
    [
        "../up.gguf",
        "a/b.gguf",
        "a\\b.gguf",
        "/etc/passwd.gguf",
        "C:x.gguf",
        ".hidden.gguf",
        ".gguf",
        "..gguf",
        "...gguf",
        " .gguf",
        "model.bin",
        "model.gguf.exe",
        "",
        "nul.gguf",
        "COM1.x.gguf",
        "a\0.gguf",
        "a\n.gguf",
        "a\u202efugg.gguf",
        "\u2067fugg.gguf",
        "a\u200b.gguf",
        "a\u2028b.gguf",
        "\ud800.gguf",
        "what?.gguf",
        "x" * 200 + ".gguf",
        "模" * 150 + ".gguf",
        " padded.gguf",
    ],
)
async def test_names_that_some_system_could_not_keep_are_refused(uploads: Uploads, folder: Path, name: str) -> None:
    with pytest.raises(InvalidFileName) as caught:
        await uploads.start(name, 1000)
    str(caught.value).encode()  # fit to be sent, whatever the name held
    assert _names(folder) == []


@pytest.mark.parametrize(
    "name", ["模型-7B.gguf", "naïve (1).Q4_K_M.GGUF", "cafe\u0301.gguf", "a..b.gguf", "nullable.gguf"]
)
async def test_names_of_every_language_are_kept(uploads: Uploads, folder: Path, name: str, content: bytes) -> None:
    upload = await uploads.start(name, len(content))
    assert (await uploads.append(upload.id, 0, _chunks(content))).state == "complete"
    assert len(_names(folder)) == 1


@pytest.mark.parametrize("size_bytes", [-1, 0, 23])
async def test_a_file_too_small_to_be_a_model_is_refused_at_once(uploads: Uploads, size_bytes: int) -> None:
    with pytest.raises(NotGguf):
        await uploads.start("tiny.gguf", size_bytes)


# --- digests -------------------------------------------------------------------------------------------------------


async def test_what_an_earlier_run_left_is_told_as_a_digest(folder: Path, content: bytes) -> None:
    before = Uploads(folder, free_margin_bytes=0)
    upload = await before.start("resumed.gguf", len(content))
    await before.append(upload.id, 0, _chunks(content[:2_000_000]))
    assert await before.digest(upload.id) == (2_000_000, digest_of(content[:2_000_000]))
    after = Uploads(folder, free_margin_bytes=0)
    assert await after.digest(upload.id) == (2_000_000, digest_of(content[:2_000_000]))
    rest = content[2_000_000:]
    assert (await after.append(upload.id, 2_000_000, _chunks(rest), digest_of(content))).state == "complete"
    assert (folder / "resumed.gguf").read_bytes() == content


async def test_another_file_of_the_same_name_and_size_is_never_glued_on(folder: Path, content: bytes) -> None:
    other = content[:-1_000_000] + bytes(1_000_000)
    before = Uploads(folder, free_margin_bytes=0)
    upload = await before.start("twin.gguf", len(content))
    await before.append(upload.id, 0, _chunks(content[:500_000]))
    after = Uploads(folder, free_margin_bytes=0)
    wrong = bytes([*other[:100], 7, *other[101:]])  # differs in what is here already
    with pytest.raises(DigestMismatch) as caught:
        await after.append(upload.id, 500_000, _chunks(wrong[500_000:]), digest_of(wrong))
    assert caught.value.details["expected"] == 500_000
    assert (folder / "twin.gguf.part").read_bytes() == content[:500_000], "what the first one sent is still there"
    assert not (folder / "twin.gguf").exists()
    assert (await after.append(upload.id, 500_000, _chunks(content[500_000:]), digest_of(content))).state == "complete"


async def test_what_a_bad_line_changed_is_taken_back_and_nothing_else(uploads: Uploads, content: bytes) -> None:
    upload = await uploads.start("noisy.gguf", len(content))
    await uploads.append(upload.id, 0, _chunks(content[:1_000_000]), digest_of(content[:1_000_000]))
    line = Line()
    line.send(b"\xff" + content[1_000_001:1_200_000])
    line.send(ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        await uploads.append(upload.id, 1_000_000, aiter(line), digest_of(content[:2_000_000]))
    assert (await uploads.status(upload.id)).offset == 1_200_000, "nobody knows yet that it is wrong"
    with pytest.raises(DigestMismatch):
        await uploads.append(upload.id, 1_200_000, _chunks(content[1_200_000:]), digest_of(content))
    assert (await uploads.status(upload.id)).offset == 1_000_000
    assert await uploads.digest(upload.id) == (1_000_000, digest_of(content[:1_000_000]))
    done = await uploads.append(upload.id, 1_000_000, _chunks(content[1_000_000:]), digest_of(content))
    assert done.state == "complete"


async def test_a_cancel_does_not_wait_for_a_long_reading(
    folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Uploads(folder, free_margin_bytes=0)
    upload = await before.start("long.gguf", len(content))
    await before.append(upload.id, 0, _chunks(content[:2_000_000]))
    after = Uploads(folder, free_margin_bytes=0)
    is_reading = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read_for_ever(self: PartDigest, path: Path, end: int) -> bool:
        loop.call_soon_threadsafe(is_reading.set)
        return True

    monkeypatch.setattr(PartDigest, "read_on", read_for_ever)
    asking = asyncio.create_task(after.digest(upload.id))
    await is_reading.wait()
    await after.cancel(upload.id)
    with pytest.raises(UnknownUpload):
        await asking
    assert _names(folder) == []


# --- the disk ------------------------------------------------------------------------------------------------------


async def test_imports_side_by_side_leave_the_margin_to_others(
    folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(folder, free_margin_bytes=10**9)
    free = [10**9 + 5 * 10**6]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(10**10, 0, free[0]))
    first = await uploads.start("first.gguf", len(content))
    second = await uploads.start("second.gguf", len(content))
    await uploads.append(first.id, 0, _chunks(content))
    free[0] -= len(content)
    half = len(content) // 2
    await uploads.append(second.id, 0, _chunks(content[:half]))
    free[0] = 10**9
    with pytest.raises(DiskFull, match=r"1\.0 GB are free"):
        await uploads.append(second.id, half, _chunks(content[half:]))
    kept = await uploads.status(second.id)
    assert (kept.state, kept.offset) == ("receiving", half)


async def test_a_file_that_will_not_fit_is_refused_before_it_comes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(100, 0, 10 * 10**9))
    uploads = Uploads(folder)
    with pytest.raises(DiskFull, match=r"needs 10\.2 GB, and 10\.0 GB are free"):
        await uploads.start("large.gguf", 10 * 10**9 - 50_000_000)  # it would fit, but leave nothing for others
    assert _names(folder) == []
    assert (await uploads.start("large.gguf", 9 * 10**9)).state == "receiving"


async def test_a_disk_that_fills_up_keeps_the_part(
    uploads: Uploads, folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes half of the second batch and then nothing more, as a real one does."""
    room = 1_500_000
    write = AsyncFileIO.write

    async def write_while_there_is_room(self: AsyncFileIO, data: Any) -> int:
        free = room - os.fstat(self.fileno()).st_size
        if free <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return await write(self, memoryview(data)[:free])

    upload = await uploads.start("full.gguf", len(content))
    with monkeypatch.context() as patch:
        patch.setattr(AsyncFileIO, "write", write_while_there_is_room)
        with pytest.raises(DiskFull) as caught:
            await uploads.append(upload.id, 0, _chunks(content))
    assert caught.value.details["needed_bytes"] == len(content) - room
    assert (await uploads.status(upload.id)).offset == room
    assert json.loads((folder / "full.gguf.part.json").read_text())["id"] == upload.id
    done = await uploads.append(upload.id, room, _chunks(content[room:]))  # somebody made room
    assert done.state == "complete"
    assert (folder / "full.gguf").read_bytes() == content


async def test_a_folder_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(WriteFailed, match="File exists"):
        await Uploads(tmp_path / "models").start("model.gguf", 1000)


async def test_a_folder_that_vanishes_in_between_says_so(uploads: Uploads, folder: Path, content: bytes) -> None:
    upload = await uploads.start("gone.gguf", len(content))
    shutil.rmtree(folder)
    with pytest.raises(WriteFailed, match="No such file"):
        await uploads.append(upload.id, 0, _chunks(content))


async def test_memory_stays_flat_while_much_comes(uploads: Uploads, folder: Path) -> None:
    """200 MB go by, and Python holds no more than a few batches at any time."""
    size = 200_000_000
    piece = bytes(65_536)

    async def body() -> AsyncIterator[bytes]:
        yield b"GGUF"
        for _ in range((size - 4) // len(piece)):
            yield piece

    upload = await uploads.start("large.gguf", size)
    tracemalloc.start()
    received = await uploads.append(upload.id, 0, body())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size - len(piece) <= received.offset == (folder / "large.gguf.part").stat().st_size
    assert peak < 8 << 20
    await uploads.cancel(upload.id)
