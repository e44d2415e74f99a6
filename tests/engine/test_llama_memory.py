"""Every kind of memory that llama.cpp has: what comes back is what was computed, and what cannot come back is refused.

Tiny models with random weights read 400 tokens (more than a sliding window of theirs keeps) and then a few more. The
logits at the end must be the same whether all of it was read anew, or the first part was copied, saved and restored,
or cut back to. In separate streams they are the same bits; in one shared memory sums are done in another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from tests.engine.tiny_models import ATTENTION, HYBRID, KINDS, NUM_TOKENS, RECURRENT, SLIDING, WINDOW, write_tiny_model
from webui.engine.llama_context import create_context, settle_options
from webui.engine.llama_memory import LlamaMemory
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Load
from webui.errors import LoadFailed
from webui.types import EngineOptions, KvType

_random = np.random.default_rng(7)
TEXT = [int(token) for token in _random.integers(0, 256, 410)]
OTHER = [int(token) for token in _random.integers(0, 256, 410)]
PROMPT = 400  #: so much of TEXT is read first
NOISE = 0.03  #: logits, whose standard deviation is about 1.5
LAYOUTS = ("separate", "shared")

Logits = np.ndarray[Any, np.dtype[np.float32]]


class Bench:
    """One context of a tiny model."""

    def __init__(self, path: Path, layout: str, **options: Any) -> None:
        asked: dict[str, Any] = {"context_tokens": 512, "kv_tokens": 2048, "num_slots": 4, "batch_tokens": 64}
        self.options = settle_options(EngineOptions(**(asked | {"kv_layout": layout, "threads": 1} | options)))
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        self.context = context = create_context(self.model, self.options)
        assert context is not None
        is_quantized = self.options.kv_type != "f16"
        self.memory = LlamaMemory(self.model, context, shares_cells=layout == "shared", is_quantized=is_quantized)
        self.batch = llama_cpp.llama_batch_init(self.options.batch_tokens, 0, 1)

    def read(self, slot: int, tokens: list[int], start: int = 0) -> Logits:
        """Compute `tokens[start:]` behind the `start` tokens that the slot holds; the logits behind the last one."""
        logits = np.zeros(0, dtype=np.float32)
        for first in range(start, len(tokens), self.options.batch_tokens):
            (logits,) = self.read_together([(slot, tokens[: first + self.options.batch_tokens], first)])
        return logits

    def read_together(self, parts: list[tuple[int, list[int], int]]) -> list[Logits]:
        """The same for several slots in one batch. Raises MemoryError when there is no room; nothing is done then."""
        row, last_rows = 0, []
        for slot, tokens, start in parts:
            for position in range(start, len(tokens)):
                self.batch.token[row] = tokens[position]
                self.batch.pos[row] = position
                self.batch.n_seq_id[row] = 1
                self.batch.seq_id[row][0] = slot
                self.batch.logits[row] = position == len(tokens) - 1
                row += 1
            last_rows.append(row - 1)
        self.batch.n_tokens = row
        if status := llama_cpp.llama_decode(self.context, self.batch):
            raise MemoryError(f"llama_decode: {status}")
        self.memory.note_step()
        rows = [llama_cpp.llama_get_logits_ith(self.context, row) for row in last_rows]
        return [np.ctypeslib.as_array(logits, (NUM_TOKENS,)).copy() for logits in rows]

    def close(self) -> None:
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


MakeBench = Callable[..., Bench]


_SILENCE = llama_cpp.llama_log_callback(lambda *_arguments: None)  # must outlive every call from C


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """llama.cpp's log goes nowhere, and to nobody who is gone."""
    llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    yield
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: write_tiny_model(folder, kind) for kind in KINDS}


@pytest.fixture
def bench(models: dict[str, Path]) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(model: str | Path, layout: str = "separate", **options: Any) -> Bench:
        made.append(Bench(models[model] if isinstance(model, str) else model, layout, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def gap(left: Logits, right: Logits) -> float:
    return float(np.abs(left - right).max())


# --- the same logits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_read_copied_or_restored_leads_to_the_same_logits(bench: MakeBench, kind: str, layout: str) -> None:
    tiny = bench(kind, layout)
    truth = tiny.read(0, TEXT)
    tiny.read(1, TEXT[:PROMPT])
    assert tiny.memory.copy(1, 2, PROMPT)
    state = tiny.memory.save(1)
    assert state is not None
    tiny.read(3, OTHER)
    assert gap(tiny.read(1, TEXT, PROMPT), truth) < NOISE, "in place"
    assert gap(tiny.read(2, TEXT, PROMPT), truth) < NOISE, "a copy"
    tiny.memory.clear(3)
    assert tiny.memory.restore(3, state)
    assert gap(tiny.read(3, TEXT, PROMPT), truth) < NOISE, "a restored state"
    tiny.memory.clear(3)
    assert gap(tiny.read(3, OTHER[:PROMPT] + TEXT[PROMPT:]), truth) > 10 * NOISE, "a memory of something else shows"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_outlives_its_engine(bench: MakeBench, kind: str, layout: str) -> None:
    first, second = bench(kind, layout), bench(kind, layout)
    truth = first.read(0, TEXT)
    first.read(1, TEXT[:PROMPT])
    state = first.memory.save(1)
    assert state is not None
    assert second.memory.restore(2, state)
    assert gap(second.read(2, TEXT, PROMPT), truth) < NOISE


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_quantized_memory_copies_and_restores_too(bench: MakeBench, layout: str, kv_type: KvType) -> None:
    tiny, exact = bench("llama", layout, kv_type=kv_type), bench("llama", layout)
    truth = tiny.read(0, TEXT)
    assert NOISE < gap(truth, exact.read(0, TEXT)) < 2, "it is coarser, and no nonsense"
    assert tiny.memory.copy(0, 1, PROMPT)
    assert gap(tiny.read(1, TEXT, PROMPT), truth) < NOISE
    state, full_state = tiny.memory.save(0), exact.memory.save(0)
    assert state is not None and full_state is not None
    assert len(state) < 0.6 * len(full_state)
    assert tiny.memory.restore(2, state) and tiny.memory.trim(2, PROMPT)
    assert gap(tiny.read(2, TEXT, PROMPT), truth) < NOISE


# --- any length ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ATTENTION)
@pytest.mark.parametrize("length", [1, 64, 399])
def test_attention_over_everything_gives_back_any_beginning(
    bench: MakeBench, kind: str, layout: str, length: int
) -> None:
    tiny = bench(kind, layout)
    wanted = TEXT[:length] + OTHER[:20]
    truth = tiny.read(0, wanted)
    tiny.read(1, TEXT)
    assert tiny.memory.can_trim
    assert tiny.memory.copy(1, 2, length)
    assert gap(tiny.read(2, wanted, length), truth) < NOISE
    assert tiny.memory.trim(1, length)
    assert gap(tiny.read(1, wanted, length), truth) < NOISE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [*SLIDING, *RECURRENT, *HYBRID])
def test_what_is_forgotten_is_refused_and_nothing_is_lost_by_asking(bench: MakeBench, kind: str, layout: str) -> None:
    tiny = bench(kind, layout)
    truth = tiny.read(0, TEXT)
    tiny.read(1, TEXT[:PROMPT])
    assert not tiny.memory.can_trim
    assert not tiny.memory.trim(1, 100)
    assert not tiny.memory.copy(1, 2, 100)
    assert tiny.memory.save(2) is None, "the target of a refused copy is empty"
    assert not tiny.memory.shift(1, 10, 50)
    assert gap(tiny.read(1, TEXT, PROMPT), truth) < NOISE
    assert gap(tiny.read(2, TEXT), truth) < NOISE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", SLIDING)
@pytest.mark.parametrize("length", [5, WINDOW, 2 * WINDOW])
def test_a_conversation_that_a_window_has_not_forgotten_can_be_cut(
    bench: MakeBench, kind: str, layout: str, length: int
) -> None:
    tiny = bench(kind, layout)
    wanted = TEXT[:length] + OTHER[:20]
    truth = tiny.read(0, wanted)
    tiny.read(1, TEXT[:100])
    assert tiny.memory.trim(1, length)
    assert gap(tiny.read(1, wanted, length), truth) < NOISE


@pytest.mark.parametrize("kind", SLIDING)
def test_a_window_goes_back_as_far_as_it_reaches_and_no_further(bench: MakeBench, kind: str) -> None:
    tiny = bench(kind)
    tiny.read(1, TEXT[:PROMPT])
    length = PROMPT
    while tiny.memory.trim(1, length - 1):
        length -= 1
    assert 150 < length < 300, "it keeps 256 cells"
    wanted = TEXT[:length] + OTHER[:1]
    truth = tiny.read(0, wanted)
    assert gap(tiny.read(1, wanted, length), truth) < NOISE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", SLIDING)
def test_the_last_token_of_a_restored_window_can_be_computed_again(bench: MakeBench, kind: str, layout: str) -> None:
    tiny = bench(kind, layout)
    truth = tiny.read(0, TEXT)
    state = tiny.memory.save(0)
    assert state is not None
    assert tiny.memory.restore(1, state)
    assert tiny.memory.trim(1, len(TEXT) - 1)
    assert gap(tiny.read(1, TEXT, len(TEXT) - 1), truth) < NOISE
    assert not tiny.memory.trim(1, len(TEXT) - 8)


@pytest.mark.parametrize("kind", SLIDING)
def test_copies_of_a_long_conversation_do_not_fill_the_windows(bench: MakeBench, kind: str) -> None:
    tiny = bench(kind, "shared")
    truth = tiny.read(0, TEXT)
    tiny.memory.clear(0)
    tiny.read(0, TEXT[:PROMPT])
    for target in (1, 2, 3):
        assert tiny.memory.copy(0, target, PROMPT)
    for slot in range(4):
        assert gap(tiny.read(slot, TEXT, PROMPT), truth) < NOISE
    for slot in range(4):
        tiny.read(slot, TEXT + OTHER[:60], len(TEXT))  # a whole batch finds room in the windows' cells


# --- room ------------------------------------------------------------------------------------------------------------


def test_a_shared_memory_holds_one_prompt_for_all(bench: MakeBench) -> None:
    tiny = bench("llama", "shared", kv_tokens=512)
    truth = tiny.read(0, TEXT)
    for target in (1, 2, 3):
        assert tiny.memory.copy(0, target, PROMPT)
    for slot in (1, 2, 3):
        assert gap(tiny.read(slot, TEXT, PROMPT), truth) < NOISE


def test_a_state_that_finds_no_room_is_refused_and_the_others_go_on(bench: MakeBench) -> None:
    tiny = bench("llama", "shared", kv_tokens=512)
    truth = tiny.read(0, TEXT)
    assert tiny.memory.trim(0, PROMPT)
    state = tiny.memory.save(0)
    assert state is not None
    assert not tiny.memory.restore(1, state)
    assert tiny.memory.save(1) is None
    assert gap(tiny.read(0, TEXT, PROMPT), truth) < NOISE
    tiny.memory.clear(0)
    assert tiny.memory.restore(1, state)
    assert gap(tiny.read(1, TEXT, PROMPT), truth) < NOISE


def test_streams_hold_a_whole_context_each(bench: MakeBench) -> None:
    tiny = bench("llama", context_tokens=410, num_slots=3)
    assert tiny.options.kv_tokens == 3 * 512, "rounded up to llama.cpp's blocks"
    truth = [tiny.read(slot, TEXT) for slot in range(3)]
    assert gap(truth[0], truth[2]) == 0
    with pytest.raises(MemoryError):
        tiny.read(0, TEXT + OTHER, len(TEXT))
    assert tiny.memory.trim(1, PROMPT)
    assert gap(tiny.read(1, TEXT, PROMPT), truth[0]) == 0


@pytest.mark.parametrize("other", [{"num_slots": 2}, {"layout": "shared"}, {"kv_type": "q8_0"}])
def test_a_state_of_another_shape_of_memory_is_refused(bench: MakeBench, other: dict[str, Any]) -> None:
    tiny, stranger = bench("llama"), bench("llama", **other)
    truth = stranger.read(0, TEXT)
    tiny.read(0, TEXT)
    state = tiny.memory.save(0)
    assert state is not None
    assert not stranger.memory.restore(1, state)
    assert gap(stranger.read(1, TEXT), truth) < NOISE


def test_an_empty_slot_has_no_state_and_nothing_to_copy(bench: MakeBench) -> None:
    tiny = bench("llama")
    assert tiny.memory.save(0) is None
    assert not tiny.memory.copy(0, 1, 1)
    assert tiny.memory.trim(0, 0)
    tiny.read(0, TEXT[:10])
    assert not tiny.memory.copy(0, 1, 11), "more than there is"
    assert not tiny.memory.trim(0, 11)
    assert tiny.memory.trim(0, 10)


# --- shifting --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shallow(tmp_path: Path) -> Path:
    """With one layer, keys and values depend on their own token and its place only: a shift is exact."""
    return write_tiny_model(tmp_path, "llama", num_layers=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_behind_the_forgotten_moves_up(bench: MakeBench, shallow: Path, layout: str) -> None:
    tiny = bench(shallow, layout)
    kept = TEXT[:50] + TEXT[200:]
    truth = tiny.read(0, kept)
    tiny.read(1, TEXT[:-1])
    neighbour = tiny.read(2, OTHER)
    assert tiny.memory.shift(1, 50, 150)
    assert tiny.memory.save(1) is None, "not before the keys are turned"
    assert gap(tiny.read(1, kept, len(kept) - 1), truth) < NOISE
    assert tiny.memory.save(1) is not None
    assert tiny.memory.trim(2, len(OTHER) - 1)
    assert gap(tiny.read(2, OTHER, len(OTHER) - 1), neighbour) < NOISE, "others stay where they are"


def test_cells_that_others_share_do_not_move(bench: MakeBench) -> None:
    tiny = bench("llama", "shared")
    truth = tiny.read(0, TEXT)
    assert tiny.memory.copy(0, 1, PROMPT)
    assert not tiny.memory.shift(0, 50, 100)
    assert not tiny.memory.shift(1, 50, 100)
    assert gap(tiny.read(1, TEXT, PROMPT), truth) < NOISE


@pytest.mark.parametrize("layout", LAYOUTS)
def test_quantized_keys_do_not_move_and_neither_does_what_is_not_there(bench: MakeBench, layout: str) -> None:
    tiny = bench("llama", layout, kv_type="q8_0")
    assert not tiny.memory.shift(0, 1, 1)
    truth = tiny.read(0, TEXT)
    assert not tiny.memory.shift(0, 50, 100)
    assert tiny.memory.trim(0, PROMPT)
    assert gap(tiny.read(0, TEXT, PROMPT), truth) < NOISE


# --- loading ---------------------------------------------------------------------------------------------------------


def load(path: Path, **options: Any) -> LlamaRunner:
    asked: dict[str, Any] = {"context_tokens": 300, "kv_tokens": 600, "num_slots": 2, "threads": 1} | options
    runner = load_model(Load(model_path=str(path), options=EngineOptions(**asked)), lambda _fraction: None)
    assert isinstance(runner, LlamaRunner)
    return runner


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_chat_model_to_the_engine(models: dict[str, Path], kind: str) -> None:
    runner = load(models[kind], kv_layout="separate")
    assert runner.info.options.kv_tokens == 2 * 512
    assert (runner.can_trim, runner.shares_cells) == (kind in ATTENTION, False)


def test_a_quantized_memory_without_flash_attention_is_refused_in_words(models: dict[str, Path]) -> None:
    with pytest.raises(LoadFailed, match=r"needs flash attention\. Switch it on"):
        load(models["llama"], kv_type="q8_0", flash_attention="off")
    assert load(models["llama"], flash_attention="off").info.options.flash_attention == "off"


def test_a_model_whose_heads_do_not_fit_a_quantized_memory_is_refused_in_words(tmp_path: Path) -> None:
    narrow = write_tiny_model(tmp_path, "llama", head_width=16)
    assert load(narrow).can_trim
    with pytest.raises(LoadFailed, match="f16"):
        load(narrow, kv_type="q8_0")
