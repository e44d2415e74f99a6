"""The draft model: what it guesses, how it keeps in step, and which files it refuses to be."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from tests.engine.tiny_models import NUM_TOKENS, write_tiny_model
from webui.engine.draft_model import READ_TOKENS
from webui.engine.drafting import Wanted
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Load
from webui.errors import LoadFailed
from webui.library.catalog import find_starter
from webui.types import EngineOptions

OPTIONS = EngineOptions(context_tokens=512, kv_tokens=1536, num_slots=3, batch_tokens=256, kv_layout="separate")


def load_beside(target: Path, draft: Path) -> LlamaRunner:
    options = msgspec.structs.replace(OPTIONS, draft_model_path=str(draft))
    load = Load(model_path=str(target), model_name="Target", options=options)
    return load_model(load, lambda _fraction: None)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), "llama")


@pytest.fixture
def runner(tiny: Path) -> LlamaRunner:
    return load_beside(tiny, tiny)


def guess(runner: LlamaRunner, tokens: list[int], num_tokens: int = 6, slot: int = 0) -> list[int]:
    assert runner.draft_model is not None
    (draft,) = runner.draft_model.propose([Wanted(slot, tokens, num_tokens)], threads=1)
    return draft


def text(seed: int, length: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(NUM_TOKENS - 2) for _ in range(length)]


def test_it_keeps_in_step_with_what_is_accepted_and_what_is_not(tiny: Path, runner: LlamaRunner) -> None:
    """Grown, cut, or another sequence altogether: it guesses what one that has seen nothing else would guess."""
    fresh, rng = load_beside(tiny, tiny), random.Random(7)
    tokens = text(1, 20)
    for _ in range(30):
        draft = guess(runner, tokens)
        assert draft == guess(fresh, tokens, slot=rng.randrange(3))
        assert draft
        match rng.randrange(4):
            case 0:
                tokens = text(rng.randrange(100), rng.randrange(1, 30))
            case 1:
                tokens = tokens[: rng.randrange(1, len(tokens) + 1)]
            case _:
                tokens = [*tokens, *draft[: rng.randrange(len(draft) + 1)], rng.randrange(256)]
        for slot in range(3):  # the fresh one forgets by being given something else
            guess(fresh, [255 - slot], 1, slot)


def test_the_same_tokens_again_give_the_same_guess(runner: LlamaRunner) -> None:
    tokens = text(2, 25)
    assert guess(runner, tokens) == guess(runner, tokens)


def test_several_sequences_are_guessed_for_at_once_as_each_alone(runner: LlamaRunner) -> None:
    wanted = [Wanted(slot, text(10 + slot, 12 + slot), 5) for slot in range(3)]
    alone = [guess(runner, each.tokens, 5, each.slot) for each in wanted]
    assert runner.draft_model is not None
    together = runner.draft_model.propose(
        [Wanted(slot, text(10 + slot, 12 + slot), 5) for slot in (2, 0, 1)], threads=1
    )
    assert together == [alone[2], alone[0], alone[1]]


def test_it_guesses_no_more_than_is_wanted(runner: LlamaRunner) -> None:
    assert guess(runner, text(3, 10), 0) == []
    assert len(guess(runner, text(3, 10), 1)) == 1


def test_a_long_prompt_is_read_in_pieces_before_the_first_guess(runner: LlamaRunner) -> None:
    tokens = text(4, READ_TOKENS + 50)
    assert guess(runner, tokens) == []
    assert guess(runner, tokens) == [], "the rest is more than one guess should wait for"
    assert guess(runner, tokens) != []


def test_a_full_context_ends_the_guessing_and_nothing_else(runner: LlamaRunner) -> None:
    tokens = text(5, 510)
    assert {len(guess(runner, tokens)) for _ in range(5)} == {0}
    assert guess(runner, tokens[:20]) != []


def test_a_model_with_another_vocabulary_is_refused_with_both_names(tiny: Path) -> None:
    starter = find_starter()
    assert starter is not None
    with pytest.raises(LoadFailed, match=r"tiny-llama could not be loaded.*another vocabulary than Target.*258"):
        load_beside(starter, tiny)


def test_a_model_that_cannot_take_back_a_guess_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="cannot forget a wrong guess"):
        load_beside(tiny, write_tiny_model(tmp_path, "mamba"))


def test_a_file_that_is_no_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LoadFailed, match="broken could not be loaded"):
        load_beside(tiny, tmp_path / "broken.gguf")
