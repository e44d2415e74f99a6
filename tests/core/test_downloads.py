"""Downloads from a hub that misbehaves, by the real client and the real transfer process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.core.waiting import until
from tests.library.gguf_files import write_model, write_split_model
from tests.support.fake_hub import FakeHub, Fault
from tests.support.processes import children_with
from webui.core.downloads import MANNER, DownloadJob, Downloads
from webui.errors import AlreadyHere, DiskFull, FileExists, HubDenied, HubNotFound, HubOffline, UnknownDownload
from webui.library.catalog import Catalog
from webui.library.hub.client import HubClient
from webui.library.hub.origin import read_origin

REPO = "me/Model-GGUF"
NAME = "Model-Q4_K_M.gguf"
LARGE = 4 << 20
BRISK = msgspec.structs.replace(MANNER, silence_seconds=0.5, first_pause_seconds=0.01)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    """A GGUF of four megabytes: a small one, and what comes behind its tensors."""
    return write_model(tmp_path / "written.gguf").read_bytes() + os.urandom(LARGE)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
async def downloads(hub: FakeHub, models_dir: Path) -> AsyncIterator[Downloads]:
    downloads = await open_downloads(hub, models_dir)
    yield downloads
    await downloads.close()


async def open_downloads(hub: FakeHub, models_dir: Path, token: str | None = None) -> Downloads:
    downloads = Downloads(models_dir, lambda: HubClient(hub.endpoint, token), manner=BRISK)
    await downloads.open()
    return downloads


async def ended(downloads: Downloads, job: DownloadJob) -> DownloadJob:
    await until(lambda: downloads.job(job.id).state in {"done", "failed", "paused"}, seconds=20)
    return downloads.job(job.id)


async def listed(models_dir: Path) -> list[str]:
    """What the catalog shows as models."""
    return [model.id for model in await Catalog(models_dir, [], include_starter=False).scan()]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def arrived(models_dir: Path) -> int:
    """Bytes of unfinished files."""
    return sum(path.stat().st_size for path in models_dir.glob(".downloads/*/*.part"))


def recorded_states(models_dir: Path) -> list[str]:
    return [str(json.loads(path.read_bytes())["state"]) for path in models_dir.glob(".downloads/*/job.json")]


def transfer_processes() -> list[psutil.Process]:
    return children_with("webui.library.hub.transfer")


# --- a good day ----------------------------------------------------------------------------------------------------


async def test_a_model_comes_with_what_belongs_to_it(hub: FakeHub, downloads: Downloads, models_dir: Path) -> None:
    model = write_model(models_dir.parent / "small.gguf").read_bytes()
    hub.add(REPO, {NAME: model, "Model-Q8_0.gguf": model, "mmproj-F16.gguf": model, "README.md": b"# hello"})
    seen: list[DownloadJob] = []
    downloads.changed.subscribe(seen.append)

    job = await ended(downloads, await downloads.start(f"hf.co/{REPO}"))

    assert (job.state, job.title, job.reference) == ("done", "Model-GGUF Q4_K_M", f"{REPO}:Q4_K_M")
    assert job.done_bytes == job.total_bytes == 2 * len(model)
    assert job.path == str(models_dir / REPO / NAME)
    states = [each.state for each in seen]
    assert states[0] == "queued" and states[-2:] == ["verifying", "done"] and "running" in states
    origin = read_origin(models_dir / REPO / NAME)
    assert origin is not None
    assert (origin.repo, origin.path, origin.commit) == (REPO, NAME, "0" * 40)
    assert origin.sha256 == hashlib.sha256(model).hexdigest()
    assert "Model-Q4_K_M" in await listed(models_dir)
    assert not (models_dir / ".downloads").exists()

    with pytest.raises(AlreadyHere):
        await downloads.start(f"{REPO}:q4_k_m")
    await downloads.cancel(job.id)  # only takes it off the list
    assert downloads.jobs == ()
    assert "Model-Q4_K_M" in await listed(models_dir)


async def test_a_split_model_is_one_download(
    hub: FakeHub, downloads: Downloads, models_dir: Path, tmp_path: Path
) -> None:
    parts = write_split_model(tmp_path, "Big-Q4_K_M")
    hub.add(REPO, {f"Q4_K_M/{part.name}": part.read_bytes() for part in parts})
    held = hub.hold_after(parts[1].name, 100)
    job = await downloads.start(REPO)
    await asyncio.to_thread(held.reached.wait, 10)
    assert await listed(models_dir) == [], "one part of three is no model"
    held.release()
    assert (await ended(downloads, job)).state == "done"
    assert await listed(models_dir) == ["Big-Q4_K_M"]
    assert [model.problem for model in await Catalog(models_dir, [], include_starter=False).scan()] == [None]


async def test_an_address_of_a_file_is_enough(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.direct["/somewhere/Mine.gguf"] = model
    hub.drop_after("Mine.gguf", LARGE // 2)
    job = await ended(downloads, await downloads.start(f"{hub.endpoint}/somewhere/Mine.gguf?key=secret"))
    assert job.state == "done"
    assert (models_dir / "Mine.gguf").read_bytes() == model
    assert "secret" not in job.reference
    assert [each.range is None for each in hub.asked_for("Mine.gguf")] == [True, False]


async def test_a_newer_version_takes_the_place_of_the_old(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {NAME: model})
    await ended(downloads, await downloads.start(REPO))
    newer = model[:-1000] + os.urandom(1000)
    hub.add(REPO, {NAME: newer}, commit="2" * 40)
    job = await ended(downloads, await downloads.start(REPO))
    assert job.state == "done"
    assert (models_dir / REPO / NAME).read_bytes() == newer


async def test_a_file_of_ones_own_is_never_written_over(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {NAME: model})
    (models_dir / REPO).mkdir(parents=True)
    (models_dir / REPO / NAME).write_bytes(b"mine")
    with pytest.raises(FileExists):
        await downloads.start(REPO)
    assert (models_dir / REPO / NAME).read_bytes() == b"mine"


# --- the queue -----------------------------------------------------------------------------------------------------


async def test_two_run_and_the_others_wait_their_turn(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    names = ["A-Q4_0.gguf", "B-Q5_0.gguf", "C-Q8_0.gguf"]
    hub.add(REPO, dict.fromkeys(names, model))
    held = [hub.hold_after(name, 1000) for name in names]
    jobs = [await downloads.start(f"{REPO}/{name}") for name in names]
    for each in held[:2]:
        await asyncio.to_thread(each.reached.wait, 10)
    assert [job.state for job in downloads.jobs] == ["running", "running", "queued"]

    again = await downloads.start(f"{REPO}:Q8_0")
    assert again.id == jobs[2].id, "what is asked for twice is fetched once"
    held[0].release()
    await asyncio.to_thread(held[2].reached.wait, 10)
    for each in held:
        each.release()
    for job in jobs:
        assert (await ended(downloads, job)).state == "done"


async def test_two_variants_share_what_belongs_to_both(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {"M-Q4_K_M.gguf": model, "M-Q8_0.gguf": model, "mmproj-F16.gguf": model})
    jobs = [await downloads.start(f"{REPO}:{label}") for label in ("Q4_K_M", "Q8_0")]
    assert [(await ended(downloads, job)).state for job in jobs] == ["done", "done"]
    assert len(hub.asked_for("mmproj-F16.gguf")) == 1
    assert len(list(files_in(models_dir))) == 6, "three files, each with its origin"


async def test_pause_and_resume_fetch_each_byte_once(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {NAME: model})
    held = hub.hold_after(NAME, LARGE // 2)
    job = await downloads.start(REPO)
    await until(lambda: arrived(models_dir) == LARGE // 2, seconds=20)

    paused = await downloads.pause(job.id)
    assert (paused.state, paused.bytes_per_second) == ("paused", 0)
    await until(lambda: not transfer_processes())
    assert await listed(models_dir) == []

    await downloads.resume(job.id)
    held.release()
    assert (await ended(downloads, job)).state == "done"
    assert [each.range for each in hub.asked_for(NAME)] == [None, f"bytes={LARGE // 2}-"]
    assert (models_dir / REPO / NAME).read_bytes() == model


async def test_what_is_paused_before_it_began_does_not_begin(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    job = await downloads.start(REPO)
    assert (await downloads.pause(job.id)).state == "paused"
    await until(lambda: not transfer_processes())
    assert hub.asked_for(NAME) == []
    await downloads.resume(job.id)
    assert (await ended(downloads, job)).state == "done"


async def test_cancelling_leaves_nothing(hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    held = hub.hold_after(NAME, 1000)
    job = await downloads.start(REPO)
    await asyncio.to_thread(held.reached.wait, 10)
    await downloads.cancel(job.id)
    assert downloads.jobs == ()
    assert not transfer_processes()
    assert files_in(models_dir) == []
    with pytest.raises(UnknownDownload):
        await downloads.resume(job.id)


# --- killed --------------------------------------------------------------------------------------------------------


async def test_what_a_killed_server_leaves_goes_on(hub: FakeHub, models_dir: Path, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    hub.hold_after(NAME, LARGE // 2)
    command = [sys.executable, "-m", "tests.support.fetch_model", hub.endpoint, str(models_dir), REPO]
    server = await asyncio.create_subprocess_exec(*command)
    await until(lambda: arrived(models_dir) == LARGE // 2, seconds=30)
    [transfer] = psutil.Process(server.pid).children()
    server.kill()
    await server.wait()
    await until(lambda: not transfer.is_running(), seconds=10)  # nobody is left to fetch for
    assert await listed(models_dir) == []

    after = await open_downloads(hub, models_dir)
    [job] = after.jobs
    assert (await ended(after, job)).state == "done"
    assert (models_dir / REPO / NAME).read_bytes() == model
    assert [each.range for each in hub.asked_for(NAME)] == [None, f"bytes={LARGE // 2}-"]
    await after.close()


async def test_what_was_paused_is_paused_after_a_restart(hub: FakeHub, models_dir: Path, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    hub.hold_after(NAME, LARGE // 2)
    before = await open_downloads(hub, models_dir)
    job = await before.start(REPO)
    await until(lambda: arrived(models_dir) == LARGE // 2, seconds=20)
    await before.pause(job.id)
    await before.close()
    after = await open_downloads(hub, models_dir)
    assert [(each.id, each.state, each.done_bytes) for each in after.jobs] == [(job.id, "paused", LARGE // 2)]
    await after.cancel(job.id)
    assert files_in(models_dir) == []
    await after.close()


async def test_a_transfer_that_dies_says_so_and_goes_on(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    held = hub.hold_after(NAME, 1000)
    job = await downloads.start(REPO)
    await asyncio.to_thread(held.reached.wait, 10)
    [child] = transfer_processes()
    child.kill()
    failed = await ended(downloads, job)
    assert (failed.state, failed.error_code) == ("failed", "download_stopped")
    held.release()
    await downloads.resume(job.id)
    assert (await ended(downloads, job)).state == "done"


async def test_a_kill_between_the_last_byte_and_the_name_is_made_good(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: object) -> None:
        raise OSError(5, "the power went")

    hub.add(REPO, {NAME: model})
    with monkeypatch.context() as patched:
        patched.setattr("webui.library.hub.job_folder.JobFolder.publish", die)
        patched.setattr("webui.core.downloads.Downloads._fail", lambda *_: asyncio.sleep(0))
        await downloads.start(REPO)
        await until(lambda: "publishing" in recorded_states(models_dir), seconds=20)
        await downloads.close()
    assert await listed(models_dir) == []
    after = await open_downloads(hub, models_dir)
    assert await listed(models_dir) == ["Model-Q4_K_M"]
    assert after.jobs == ()
    await after.close()


async def test_records_that_make_no_sense_are_left_alone(hub: FakeHub, models_dir: Path) -> None:
    file = {"target": "../../outside.gguf", "size_bytes": 5}
    record = {"id": "escape", "reference": "x", "title": "x", "files": [file], "created_at": 1}
    records = {"escape": json.dumps(record), "garbage": "{", "other": json.dumps(record | {"files": []})}
    for name, text in records.items():
        folder = models_dir / ".downloads" / name
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(text)
    (models_dir / ".downloads" / "begun").mkdir()  # killed before its record was written
    downloads = await open_downloads(hub, models_dir)
    assert downloads.jobs == ()
    await downloads.close()
    assert {path.parent.name for path in files_in(models_dir)} == set(records)


# --- a bad day -----------------------------------------------------------------------------------------------------


async def test_a_download_that_failed_can_be_resumed(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {NAME: model})
    hub.fault(NAME, Fault(drop_after=LARGE // 2))
    for _ in range(6):
        hub.fault(NAME, Fault(drop_after=0))
    job = await ended(downloads, await downloads.start(REPO))
    assert (job.state, job.error_code, job.done_bytes) == ("failed", "hub_offline", LARGE // 2)
    assert "cannot be reached" in str(job.error)
    await downloads.resume(job.id)
    assert (await ended(downloads, job)).state == "done"
    assert (models_dir / REPO / NAME).read_bytes() == model


async def test_what_is_damaged_is_dropped_and_can_be_fetched_again(
    hub: FakeHub, downloads: Downloads, models_dir: Path, model: bytes
) -> None:
    hub.add(REPO, {NAME: model})
    hub.fault(NAME, Fault(content=b"GGUF" + bytes(len(model) - 4)))
    job = await ended(downloads, await downloads.start(REPO))
    assert (job.state, job.error_code, job.done_bytes) == ("failed", "download_damaged", 0)
    assert await listed(models_dir) == []
    again = await downloads.start(REPO)
    assert again.id == job.id
    assert (await ended(downloads, job)).state == "done"
    assert (models_dir / REPO / NAME).read_bytes() == model


async def test_a_silent_line_is_given_up_and_tried_again(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    hub.add(REPO, {NAME: model})
    hub.hold_after(NAME, 1_000_000)  # never released
    job = await ended(downloads, await downloads.start(REPO))
    assert job.state == "done"
    assert len(hub.asked_for(NAME)) == 2


async def test_a_file_larger_than_the_disk_is_refused_at_once(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    hub.add(REPO, {NAME: model}, lies={NAME: {"size": 1 << 41}})
    with pytest.raises(DiskFull):
        await downloads.start(REPO)
    assert downloads.jobs == ()


# --- who may, and who is there -------------------------------------------------------------------------------------


async def test_a_token_opens_a_private_repository_and_goes_nowhere_else(models_dir: Path, model: bytes) -> None:
    with FakeHub(cdn=True) as hub:
        hub.add(REPO, {NAME: model}, token="hf_secret")
        hub.add("me/Gated-GGUF", {NAME: model}, token="hf_secret", is_gated=True)
        stranger = await open_downloads(hub, models_dir)
        with pytest.raises(HubDenied):
            await stranger.start(REPO)
        gated = await ended(stranger, await stranger.start("me/Gated-GGUF"))
        assert (gated.state, gated.error_code) == ("failed", "hub_denied")
        assert "terms" in str(gated.error)
        await stranger.close()

        friend = await open_downloads(hub, models_dir, token="hf_secret")
        assert (await ended(friend, await friend.start(REPO))).state == "done"
        elsewhere = [each for each in hub.requests if each.host.startswith("localhost")]
        assert elsewhere and all(each.token is None for each in elsewhere)
        assert not any(b"hf_secret" in path.read_bytes() for path in files_in(models_dir))
        await friend.close()


async def test_offline_is_said_at_once(models_dir: Path) -> None:
    with FakeHub() as gone:
        endpoint = gone.endpoint
    downloads = Downloads(models_dir, lambda: HubClient(endpoint))
    async with asyncio.timeout(2):
        with pytest.raises(HubOffline, match="cannot be reached"):
            await downloads.start(REPO)


async def test_what_is_not_there_is_named(hub: FakeHub, downloads: Downloads, model: bytes) -> None:
    hub.add(REPO, {NAME: model, "Model-Q8_0.gguf": model})
    with pytest.raises(HubNotFound, match="Q4_K_M, Q8_0"):
        await downloads.start(f"{REPO}:Q3_K_S")
    hub.add("me/Weights", {"model.safetensors": b"x"})
    with pytest.raises(HubNotFound, match="no GGUF files"):
        await downloads.start("me/Weights")
