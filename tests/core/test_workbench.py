"""The workbench from order to file: a real child process for each job, or a stand-in that hangs or dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.core.waiting import until
from tests.engine.test_adapters import write_adapter
from tests.engine.tiny_models import write_tiny_model
from tests.support.processes import children_with
from tests.workbench.model_files import tensor_digests, write_wide_model
from webui.core.adapters import AdapterChoice
from webui.core.work_folder import WorkFolder
from webui.core.work_job import WorkJob
from webui.core.work_orders import EditOrder, JoinOrder, MergeOrder, QuantizeOrder, SplitOrder
from webui.core.workbench import Workbench
from webui.errors import (
    FileExists,
    InvalidFileName,
    InvalidRequest,
    UnknownAdapter,
    UnknownJob,
    UnknownModel,
    UnknownQuantization,
)
from webui.library.catalog import Catalog
from webui.workbench.protocol import Progress, Written, encode_line

ROOT = Path(__file__).resolve().parents[2]
HANG = "import sys, time; sys.stdin.readline(); print({progress!r}, flush=True); time.sleep(600)"
DIE = "import os, sys; sys.stdin.readline(); print('no room for it', file=sys.stderr, flush=True); os.abort()"
#: does nothing but to leave an (empty) file of the wished name
WRITE = """
import json, pathlib, sys
request = json.loads(sys.stdin.readline())
(pathlib.Path(request["output_dir"]) / request["file_name"]).write_text("new")
outcome = {"kind": "written", "file_names": [request["file_name"]], "size_bytes": 3}
print(json.dumps({"report": "done", "outcome": outcome}), flush=True)
"""


def child(code: str) -> tuple[str, ...]:
    progress = encode_line(Progress(fraction=0.25, words="Thinking")).decode().strip()
    return (sys.executable, "-S", "-c", code.replace("{progress!r}", repr(progress)))


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_wide_model(folder / "Wide-F16.gguf")
    return folder


@asynccontextmanager
async def workbench(models_dir: Path, **options: object) -> AsyncIterator[Workbench]:
    bench = Workbench(
        lambda: Catalog(models_dir, (), include_starter=False),
        models_dir,
        **options,  # type: ignore[arg-type]
    )
    await bench.open()
    yield bench
    await bench.close()


async def ended(bench: Workbench, job: WorkJob) -> WorkJob:
    await until(lambda: bench.job(job.id).has_ended, seconds=30)
    return bench.job(job.id)


def files(folder: Path) -> list[str]:
    """Everything in the folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def children() -> list[psutil.Process]:
    return children_with("-S")  # as `child` starts them


# --- from an order to a file ---------------------------------------------------------------------------------------


async def test_an_order_becomes_a_model_and_everybody_hears_of_it(models_dir: Path) -> None:
    made: list[str] = []
    heard: list[WorkJob] = []
    async with workbench(models_dir, on_complete=lambda: made.append("one")) as bench:
        bench.changed.subscribe(heard.append)
        (estimate,) = await bench.estimate([QuantizeOrder(model="Wide-F16", file_type="q4_k_m")])
        job = await bench.start(QuantizeOrder(model="wide-f16", file_type="q4_k_m"))
        assert (job.kind, job.title, job.result_name) == ("quantize", "Wide → Q4_K_M", "Wide-Q4_K_M.gguf")
        end = await ended(bench, job)
        assert (end.state, end.error, end.progress) == ("done", None, 1.0)
        assert end.result_path == models_dir / "Wide-Q4_K_M.gguf"
        assert isinstance(end.outcome, Written) and end.outcome.size_bytes == estimate.size_bytes
        assert [each.id for each in bench.jobs] == [job.id], "whoever comes later sees it, too"
        bench.dismiss(job.id)
        assert bench.jobs == ()
    assert files(models_dir) == ["Wide-F16.gguf", "Wide-Q4_K_M.gguf"]
    assert made == ["one"]
    states = [each.state for each in heard]
    assert list(dict.fromkeys(states)) == ["queued", "running", "done"]


async def test_a_split_model_lies_in_a_folder_of_its_own_and_can_be_joined_again(models_dir: Path) -> None:
    async with workbench(models_dir) as bench:
        refused = SplitOrder(model="Wide-F16", max_part_bytes=10)
        with pytest.raises(InvalidRequest, match="at least 1 MB"):
            await bench.start(refused)
        end = await ended(bench, await bench.start(SplitOrder(model="Wide-F16", max_part_bytes=1_000_000)))
        assert (end.state, end.result_name) == ("done", "Wide-F16-split"), end.error
        assert end.result_path is not None and end.result_path.name.startswith("Wide-F16-split-00001-of-")
        model = await Catalog(models_dir, (), include_starter=False).find("Wide-F16-split")
        end = await ended(bench, await bench.start(JoinOrder(model=model.id)))
        assert end.state == "done", end.error
    joined = models_dir / "Wide-F16-split-joined.gguf"
    assert joined.read_bytes() == (models_dir / "Wide-F16.gguf").read_bytes()


async def test_adapters_are_named_as_everywhere_else(models_dir: Path) -> None:
    write_tiny_model(models_dir, "llama")
    write_adapter(models_dir / "Pirate.gguf")
    async with workbench(models_dir) as bench:
        end = await ended(
            bench, await bench.start(MergeOrder(model="tiny-llama", adapters=(AdapterChoice("pirate", 0.5),)))
        )
        assert (end.state, end.title, end.result_name) == ("done", "tiny llama + Pirate", "tiny-llama-merged.gguf")
        with pytest.raises(UnknownAdapter):
            await bench.start(MergeOrder(model="tiny-llama", adapters=(AdapterChoice("../Pirate.gguf"),)))
        with pytest.raises(InvalidRequest, match="at least one adapter"):
            await bench.start(MergeOrder(model="tiny-llama", adapters=(AdapterChoice("pirate", 0.0),)))


async def test_the_source_is_never_touched(models_dir: Path) -> None:
    source = models_dir / "Wide-F16.gguf"
    before = (source.read_bytes(), source.stat().st_mtime_ns)
    async with workbench(models_dir) as bench:
        end = await ended(bench, await bench.start(EditOrder(model="Wide-F16", name="Other")))
        assert end.state == "done", end.error
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    assert tensor_digests(models_dir / "Wide-F16-edited.gguf") == tensor_digests(source)


async def test_half_a_character_is_refused_in_words(models_dir: Path) -> None:
    async with workbench(models_dir) as bench:
        end = await ended(bench, await bench.start(EditOrder(model="Wide-F16", name="\ud800")))
        assert (end.state, end.error) == ("failed", "The text contains characters that are not text.")


async def test_what_the_file_does_not_allow_is_said_by_the_job(models_dir: Path) -> None:
    async with workbench(models_dir) as bench:
        end = await ended(bench, await bench.start(JoinOrder(model="Wide-F16")))
        assert (end.state, end.error_code) == ("failed", "nothing_to_do")
        assert end.error is not None and "one file already" in end.error
    assert files(models_dir) == ["Wide-F16.gguf"]


# --- names ---------------------------------------------------------------------------------------------------------


async def test_names_are_proposed_and_nothing_is_overwritten(models_dir: Path) -> None:
    async with workbench(models_dir, command=child(HANG)) as bench:
        order = QuantizeOrder(model="Wide-F16", file_type="Q8_0")
        (models_dir / "Wide-Q8_0.gguf").write_text("somebody's")
        names = [(await bench.start(order)).result_name for _ in range(2)]
        assert names == ["Wide-Q8_0-2.gguf", "Wide-Q8_0-3.gguf"]
        with pytest.raises(FileExists):
            await bench.start(QuantizeOrder(model="Wide-F16", file_type="Q8_0", result="Wide-Q8_0"))
        for name in ("../Wide.gguf", "a/b.gguf", ".hidden.gguf", "con.gguf", " .gguf"):
            with pytest.raises(InvalidFileName):
                await bench.start(QuantizeOrder(model="Wide-F16", file_type="Q8_0", result=name))


async def test_a_file_that_came_meanwhile_stays(models_dir: Path) -> None:
    async with workbench(models_dir, command=child(WRITE)) as bench:
        job = await bench.start(JoinOrder(model="Wide-F16", result="Mine"))
        (models_dir / "Mine.gguf").write_text("older")
        end = await ended(bench, job)
        assert (end.state, end.error_code) == ("failed", "file_exists")
    assert (models_dir / "Mine.gguf").read_text() == "older"
    assert files(models_dir) == ["Mine.gguf", "Wide-F16.gguf"]


async def test_what_is_not_there_is_said_at_once(models_dir: Path) -> None:
    async with workbench(models_dir) as bench:
        with pytest.raises(UnknownModel):
            await bench.start(JoinOrder(model="/etc/passwd"))
        with pytest.raises(UnknownModel):
            await bench.start(QuantizeOrder(model="Wide-F16", file_type="Q8_0", imatrix="nowhere"))
        with pytest.raises(UnknownQuantization):
            await bench.start(QuantizeOrder(model="Wide-F16", file_type="Q9"))
        with pytest.raises(InvalidRequest, match="Say what is to be changed"):
            await bench.start(EditOrder(model="Wide-F16"))
        with pytest.raises(UnknownJob):
            await bench.cancel("nothing")
        assert bench.jobs == ()


# --- waiting, cancelling, dying ------------------------------------------------------------------------------------


async def test_one_works_and_the_others_wait_and_each_can_be_cancelled(models_dir: Path) -> None:
    order = JoinOrder(model="Wide-F16")
    async with workbench(models_dir, command=child(HANG)) as bench:
        first, second, third = [await bench.start(order) for _ in range(3)]
        await until(lambda: bench.job(first.id).progress == 0.25)
        assert [job.state for job in bench.jobs] == ["running", "queued", "queued"]
        assert bench.job(first.id).words == "Thinking"
        assert (await bench.cancel(second.id)).state == "cancelled"
        bench.dismiss(third.id)
        assert len(bench.jobs) == 3, "what waits is not taken off the list"
        assert (await bench.cancel(first.id)).state == "cancelled"
        await until(lambda: bench.job(third.id).progress == 0.25)
        assert len(children()) == 1
    assert bench.job(third.id).state == "cancelled", "closing ends what runs"
    assert (children(), files(models_dir)) == ([], ["Wide-F16.gguf"])


@pytest.mark.parametrize(("how", "words"), [(signal.SIGKILL, "memory ran out"), (signal.SIGTERM, "another program")])
async def test_a_process_that_is_killed_leaves_a_sentence_and_nothing_else(
    models_dir: Path, how: signal.Signals, words: str
) -> None:
    async with workbench(models_dir, command=child(HANG)) as bench:
        job = await bench.start(JoinOrder(model="Wide-F16"))
        await until(lambda: bench.job(job.id).progress == 0.25)
        os.kill(children()[0].pid, how)
        end = await ended(bench, job)
        assert (end.state, end.error_code) == ("failed", "work_failed")
        assert end.error is not None and words in end.error
    assert files(models_dir) == ["Wide-F16.gguf"]


async def test_a_process_that_aborts_is_quoted(models_dir: Path) -> None:
    async with workbench(models_dir, command=child(DIE)) as bench:
        end = await ended(bench, await bench.start(JoinOrder(model="Wide-F16")))
        assert end.error is not None
        assert "llama.cpp hit an internal error (its last words: no room for it)" in end.error


async def test_what_a_killed_server_leaves_is_removed_by_the_next_one(models_dir: Path) -> None:
    """The server is killed in the middle of a job; another one starts while a third works in the same folder."""
    code = f"""
        import asyncio, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from tests.core.test_workbench import HANG, JoinOrder, child, workbench

        async def main():
            async with workbench(Path({str(models_dir)!r}), command=child(HANG)) as bench:
                bench.changed.subscribe(lambda job: print(job.words, flush=True))
                await bench.start(JoinOrder(model="Wide-F16"))
                await asyncio.sleep(600)

        asyncio.run(main())
    """
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    while b"Thinking" not in await asyncio.wait_for(server.stdout.readline(), 30):
        pass
    (half_done,) = (name for name in files(models_dir) if name.startswith(".work-"))
    server.kill()
    await server.wait()
    in_use = WorkFolder(models_dir, "other")
    in_use.create()
    async with workbench(models_dir):
        assert half_done not in files(models_dir)
        assert in_use.output_dir.name in files(models_dir)
    in_use.remove()
    assert files(models_dir) == ["Wide-F16.gguf"]
