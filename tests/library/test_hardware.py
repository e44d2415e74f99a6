"""The machine as it is, and as control groups, NVML and the environment would have it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from webui.library import hardware
from webui.library.cgroup import read_cpu_limit, read_memory_limit
from webui.library.hardware import count_physical_cores, has_gpu_backend, read_memory

GIB = 1 << 30


def test_memory_is_read_quickly_and_makes_sense() -> None:
    started = time.perf_counter()
    for _ in range(20):
        memory = read_memory()
    assert (time.perf_counter() - started) / 20 < 0.05
    assert 0 < memory.ram_free <= memory.ram_total <= psutil.virtual_memory().total


def test_cores_follow_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    assert 1 <= count_physical_cores() <= len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert count_physical_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_cpu_quota_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "read_cpu_limit", lambda: 0.5)
    assert count_physical_cores() == 1


def test_this_llama_cpp_was_built_for_the_cpu_or_has_a_gpu_library() -> None:
    import llama_cpp

    assert has_gpu_backend() == llama_cpp.llama_supports_gpu_offload()


# --- control groups ------------------------------------------------------------------------------------------------


def _write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")


def test_version_two_takes_the_tightest_of_all_ancestors(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "proc": "0::/user/app",
            "fs/user/memory.max": str(4 * GIB),
            "fs/user/memory.current": str(3 * GIB),
            "fs/user/memory.stat": f"anon 5\ninactive_file {GIB}",
            "fs/user/app/memory.max": "max",
            "fs/user/app/cpu.max": "150000 100000",
            "fs/cpu.max": "max 100000",
        },
    )
    limit = read_memory_limit(tmp_path / "proc", tmp_path / "fs")
    assert limit is not None
    assert (limit.limit, limit.free) == (4 * GIB, 2 * GIB)  # page cache that can go counts as free
    assert read_cpu_limit(tmp_path / "proc", tmp_path / "fs") == 1.5


def test_version_one_in_a_container_sees_its_own_group_at_the_root(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "proc": "7:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
            "fs/memory/memory.limit_in_bytes": str(2 * GIB),
            "fs/memory/memory.usage_in_bytes": str(GIB),
            "fs/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1024",
            "fs/cpu,cpuacct/cpu.cfs_quota_us": "200000",
            "fs/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    limit = read_memory_limit(tmp_path / "proc", tmp_path / "fs")
    assert limit is not None
    assert (limit.limit, limit.free) == (2 * GIB, GIB + 1024)
    assert read_cpu_limit(tmp_path / "proc", tmp_path / "fs") == 2.0


def test_no_limit_is_none(tmp_path: Path) -> None:
    assert read_memory_limit(tmp_path / "nothing", tmp_path / "nowhere") is None
    _write(
        tmp_path,
        {
            "proc": "4:memory:/\n3:cpu:/",
            "fs/memory/memory.limit_in_bytes": "9223372036854771712",
            "fs/cpu/cpu.cfs_quota_us": "-1",
            "fs/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert read_memory_limit(tmp_path / "proc", tmp_path / "fs") is None
    assert read_cpu_limit(tmp_path / "proc", tmp_path / "fs") is None


# --- GPUs ----------------------------------------------------------------------------------------------------------


class FakeNvml:
    """NVML with two GPUs; the second does not tell its memory unless asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, num_silent: int = 0) -> None:
        self.num_silent = num_silent
        names = {"nvmlDeviceGetCount": lambda: 2, "nvmlInit": lambda: None, "nvmlDeviceGetHandleByIndex": int}
        names |= {
            "nvmlDeviceGetUUID": self.uuid,
            "nvmlDeviceGetName": self.name,
            "nvmlDeviceGetMemoryInfo": self.memory,
        }
        for name, function in names.items():
            monkeypatch.setattr(pynvml, name, function)

    def uuid(self, index: int) -> str:
        return f"GPU-{index}{index}{index}"

    def name(self, index: int) -> str | bytes:
        return "Card A" if index == 0 else b"Card B"  # NVML's bindings changed from bytes to text

    def memory(self, index: int) -> SimpleNamespace:
        if index >= 2 - self.num_silent:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(total=8 * GIB, free=(6 - index) * GIB)


def test_gpus_are_listed_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [(gpu.name, gpu.free_bytes) for gpu in read_memory().gpus] == [("Card A", 6 * GIB), ("Card B", 5 * GIB)]


def test_a_gpu_that_does_not_tell_its_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml(monkeypatch, num_silent=1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpu.name for gpu in read_memory().gpus] == ["Card A"]


@pytest.mark.parametrize(("visible", "names"), [("", []), ("1", ["Card B"]), ("GPU-00", ["Card A"]), ("-1", [])])
def test_hidden_gpus_are_not_offered(monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]) -> None:
    FakeNvml(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in read_memory().gpus] == names


def test_a_driver_that_fails_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert read_memory().gpus == ()
