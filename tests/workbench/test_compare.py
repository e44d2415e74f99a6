"""Comparing models on a text: the sums against a plain reckoning of llama.cpp's definitions, and real models."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.engine.tiny_models import write_tiny_model
from webui.errors import DiskFull, TextTooShort, VocabularyMismatch
from webui.library.catalog import find_starter
from webui.workbench.compare import run
from webui.workbench.compare_figures import Packed, Tally, log_softmax, pack, row_bytes
from webui.workbench.protocol import Compare, Compared, ComparedFigures, CompareModel

TEXT = (
    "The old lighthouse stood at the end of a narrow road, where the fields gave way to rock and the rock gave way to "
    "the sea. Every evening the keeper climbed the stairs with a lamp in one hand and a book in the other, and every "
    "morning he came down with the book half read. He wrote down the ships that passed, the colour of the sky and the "
    "direction of the wind, and he never once wrote that he was alone. "
)
RNG = np.random.default_rng(5)


def random_logits(rows: int, columns: int) -> np.ndarray:
    return (RNG.normal(0, 6, (rows, columns))).astype(np.float32)


# --- the sums --------------------------------------------------------------------------------------------------------


def divergence_in_words(base: np.ndarray, other: np.ndarray) -> float:
    """Kullback-Leibler, one number after the other, exactly."""
    p = [math.exp(each - max(base)) for each in base.tolist()]
    q = [math.exp(each - max(other)) for each in other.tolist()]
    return sum(a / sum(p) * math.log((a / sum(p)) / (b / sum(q))) for a, b in zip(p, q, strict=True))


def test_divergence_is_kullback_and_leiblers() -> None:
    base, other = random_logits(20, 50), random_logits(20, 50)
    tally = Tally()
    tally.add(log_softmax(other), np.zeros(20, np.intp), pack(log_softmax(base)).unpack())
    exact = [divergence_in_words(a, b) for a, b in zip(base, other, strict=True)]
    assert tally.divergences == pytest.approx(exact, abs=2e-3), "16 bits over 16 nats, and what lies below is cut off"
    assert tally.divergence[0] == pytest.approx(np.mean(exact), abs=1e-3)
    assert tally.divergence[1] == pytest.approx(np.std(exact, ddof=1) / math.sqrt(20), rel=1e-2)
    assert tally.divergence_tail == pytest.approx(np.percentile(exact, 99), abs=2e-3)
    same = sum(int(a.argmax() == b.argmax()) for a, b in zip(base, other, strict=True))
    assert tally.same_best == same / 20


def test_log_probabilities_are_packed_as_llama_cpp_packs_them() -> None:
    """perplexity.cpp, log_softmax(n_vocab, logits, uint16_t *, tok), one number after the other."""
    logits = random_logits(3, 40)
    packed = pack(log_softmax(logits))
    for row, values in enumerate(logits.tolist()):
        best = max(values)
        lowest = max(min(values), best - 16)
        total = math.log(sum(math.exp(each - best) for each in values))
        scale = (best - lowest) / 65535
        codes = [round((each - lowest) / scale) if each > lowest else 0 for each in values]
        assert packed.lowest[row] == pytest.approx(lowest - best - total, abs=1e-5)
        assert packed.scale[row] == pytest.approx(scale, rel=1e-4)
        assert np.abs(packed.codes[row].astype(int) - codes).max() <= 1
    again = Packed.from_bytes(packed.to_bytes(), 40)
    assert len(packed.to_bytes()) == 3 * row_bytes(40)
    assert np.array_equal(again.unpack(), packed.unpack())


def test_perplexity_is_the_exponential_of_the_mean() -> None:
    logits = random_logits(10, 30)
    tokens = RNG.integers(0, 30, 10)
    nats = [
        math.log(sum(math.exp(each) for each in row)) - row[token]
        for row, token in zip(logits.tolist(), tokens.tolist(), strict=True)
    ]
    tally = Tally()
    tally.add(log_softmax(logits), tokens, None)
    perplexity, error = tally.perplexity
    assert perplexity == pytest.approx(math.exp(np.mean(nats)), rel=1e-5)
    assert error == pytest.approx(perplexity * np.std(nats, ddof=1) / math.sqrt(10), rel=1e-4)


def test_a_row_without_differences_can_be_packed() -> None:
    flat = pack(log_softmax(np.zeros((1, 8), np.float32)))
    assert flat.unpack() == pytest.approx(np.full((1, 8), -math.log(8)))


# --- real models -----------------------------------------------------------------------------------------------------


def compare(folder: Path, *paths: Path, text: str = TEXT, **options: int) -> Compared:
    models = tuple(CompareModel(path=str(path)) for path in paths)
    request = Compare(models=models, text=text, scratch_dir=str(folder), context_tokens=64, max_chunks=1, **options)
    return run(request, lambda _fraction, _words: None)


def damaged_copy(source: Path, target: Path) -> Path:
    """A copy with some of the weights gone: a quantization that went too far."""
    shutil.copy(source, target)
    with target.open("r+b") as file:
        file.seek(60_000_000)
        file.write(bytes(100_000))
    return target


def test_a_model_is_itself_and_a_damaged_one_is_further_away(tmp_path: Path) -> None:
    starter = find_starter()
    assert starter is not None
    damaged = damaged_copy(starter, tmp_path / "damaged.gguf")
    fractions: list[float] = []
    models = tuple(CompareModel(path=str(path)) for path in (starter, starter, damaged))
    request = Compare(models=models, text=TEXT, scratch_dir=str(tmp_path), context_tokens=64, max_chunks=1)
    compared = run(request, lambda fraction, _words: fractions.append(fraction))
    reference, same, worse = compared.models
    assert (compared.num_chunks, compared.context_tokens, compared.num_tokens) == (1, 64, 31)
    assert reference.divergence is None and reference.perplexity > 1
    assert same.perplexity == pytest.approx(reference.perplexity)
    assert same.same_best == 1.0
    assert same.divergence == pytest.approx(0, abs=1e-4)
    assert worse.divergence is not None and worse.divergence_tail is not None and worse.same_best is not None
    assert 0.001 < worse.divergence < worse.divergence_tail
    assert worse.same_best <= 1 and worse.perplexity != pytest.approx(reference.perplexity, rel=1e-6)
    assert all(each.reading_speed > 0 and each.writing_speed > 0 and each.size_bytes > 9e7 for each in compared.models)
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.gguf"], "the scratch file has no name"


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    starter = find_starter()
    assert starter is not None
    tiny = write_tiny_model(tmp_path, "llama")
    with pytest.raises(TextTooShort, match="64 at least"):
        compare(tmp_path, starter, text="Too short.")
    with pytest.raises(VocabularyMismatch, match="different vocabularies"):
        compare(tmp_path, starter, tiny)
    with pytest.raises(DiskFull):
        compare(tmp_path, starter, starter, keep_free_bytes=1 << 60)


def test_a_single_model_has_a_perplexity_too() -> None:
    figures = ComparedFigures(
        path="x", size_bytes=1, reading_speed=1.0, writing_speed=1.0, perplexity=9.0, perplexity_error=0.1
    )
    assert figures.divergence is None
