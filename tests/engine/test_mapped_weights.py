"""What was read of a model's file and copied elsewhere does not stay in memory a second time."""

from __future__ import annotations

import mmap
from pathlib import Path

import psutil
import pytest

from tests.engine.tiny_models import Size, write_model
from webui.core.engine_client import EngineClient
from webui.engine.mapped_weights import release_mapped_pages
from webui.types import EngineOptions, ModelFile

MIB = 1 << 20


def test_pages_of_a_file_are_dropped_and_come_back_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"w" * 8 * MIB)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) > 0
        before = psutil.Process().memory_info()
        release_mapped_pages(str(path))
        after = psutil.Process().memory_info()
        assert before.rss - after.rss > 6 * MIB
        assert mapped[5 * MIB] == ord("w")


async def test_rearranged_weights_are_in_memory_once(tmp_path: Path) -> None:
    size = Size(width=1024, wide=4096, heads=16, kv_heads=4, head_width=64, num_layers=8, num_tokens=1000)
    path = write_model(tmp_path / "m.gguf", "llama", size, "Q4_K")
    model = ModelFile(id="m", name="M", path=path, size_bytes=path.stat().st_size, source="local")
    engine = EngineClient()
    await engine.start(model, EngineOptions(context_tokens=256, kv_tokens=256, num_slots=1, threads=1))
    try:
        assert engine.pid is not None
        info = psutil.Process(engine.pid).memory_info()
    finally:
        await engine.stop()
    weights = path.stat().st_size
    if info.rss - info.shared < weights:
        pytest.skip("llama.cpp does not rearrange this type on this processor")
    assert info.rss < weights + 90 * MIB, "the engine itself, and the weights once"
