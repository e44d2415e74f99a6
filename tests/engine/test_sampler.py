"""Each sampler does what its name says, shown on logits that a test can read; the real model only lends its words."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterable
from typing import Any

import llama_cpp
import numpy as np
import pytest

from tests.engine.writing import is_finished, text_of, tokens_of, write
from webui.engine.model_runner import LlamaRunner
from webui.engine.sampler_chain import create_chain
from webui.errors import InvalidRequest
from webui.types import SamplingParams

OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""Nothing cuts off: what a test adds is what it sees."""
QUESTION = "Tell me a story about a lighthouse keeper."


class Drawing:
    """A chain that draws from the same logits, over tokens 100, 101, …, as often as it is asked."""

    def __init__(self, runner: LlamaRunner, logits: Iterable[float], **sampling: Any) -> None:
        self._logits = list(logits)
        params = SamplingParams(**({"seed": 1} | OPEN | sampling))
        self._chain = create_chain(params, runner.vocabulary.pointer, window=1024)

    def draw(self) -> int:
        """The index of the chosen logit; the chain remembers it."""
        candidates = (llama_cpp.llama_token_data * len(self._logits))()
        for index, logit in enumerate(self._logits):
            candidates[index] = llama_cpp.llama_token_data(100 + index, logit, 0)
        array = llama_cpp.llama_token_data_array(candidates, len(self._logits), -1, False)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token - 100

    def remember(self, *indices: int) -> Drawing:
        for index in indices:
            llama_cpp.llama_sampler_accept(self._chain, 100 + index)
        return self

    def counts(self, num_draws: int = 400) -> Counter[int]:
        return Counter(self.draw() for _ in range(num_draws))


def logits_of(*probabilities: float) -> list[float]:
    return [float(np.log(probability)) for probability in probabilities]


# --- what cuts off ---------------------------------------------------------------------------------------------------


def test_an_open_chain_draws_by_the_odds(starter_runner: LlamaRunner) -> None:
    counts = Drawing(starter_runner, logits_of(0.5, 0.3, 0.2)).counts(2000)
    assert [round(counts[index] / 2000, 1) for index in range(3)] == [0.5, 0.3, 0.2]


@pytest.mark.parametrize(
    ("sampling", "left"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_p": 0.75}, {0, 1}),
        ({"min_p": 0.5}, {0, 1}),
        ({"typical_p": 0.25}, {1}),
        ({"top_n_sigma": 1.0}, {0, 1}),
        ({"xtc_probability": 1.0, "xtc_threshold": 0.15}, {2, 3}),
        ({"temperature": 0.01}, {0}),
    ],
)
def test_a_sampler_leaves_what_it_should(
    starter_runner: LlamaRunner, sampling: dict[str, float], left: set[int]
) -> None:
    counts = Drawing(starter_runner, logits_of(0.48, 0.27, 0.17, 0.08), **sampling).counts()
    assert set(counts) == left


def test_xtc_leaves_the_best_out_as_often_as_asked(starter_runner: LlamaRunner) -> None:
    counts = Drawing(starter_runner, logits_of(0.6, 0.4), xtc_probability=0.5, xtc_threshold=0.3).counts(2000)
    assert 0.25 < counts[0] / 2000 < 0.35, "half of 60 percent"


def test_typical_counts_with_tokens_that_are_all_but_impossible(starter_runner: LlamaRunner) -> None:
    logits = [*logits_of(0.48, 0.27, 0.17, 0.08), -500.0, -float("inf")]
    assert set(Drawing(starter_runner, logits, typical_p=0.25).counts()) == {1}


# --- what moves logits -----------------------------------------------------------------------------------------------


def test_bias_and_ban_decide(starter_runner: LlamaRunner) -> None:
    even = logits_of(0.5, 0.5)
    assert set(Drawing(starter_runner, even, logit_bias=((101, 50.0),)).counts()) == {1}
    assert set(Drawing(starter_runner, even, logit_bias=((101, -100.0),)).counts()) == {0}


@pytest.mark.parametrize("penalty", [{"repeat_penalty": 5.0}, {"presence_penalty": 8.0}, {"frequency_penalty": 8.0}])
def test_a_penalty_sees_as_far_back_as_it_may(starter_runner: LlamaRunner, penalty: dict[str, float]) -> None:
    logits = [3.0, 2.0, 1.0]
    whole = Drawing(starter_runner, logits, temperature=0.0, **penalty).remember(0, 1)
    assert whole.draw() == 2
    short = Drawing(starter_runner, logits, temperature=0.0, repeat_last_n=1, **penalty).remember(0, 1)
    assert short.draw() == 0, "what was said before the last token is forgotten"


def test_dry_breaks_a_sequence_that_would_repeat(starter_runner: LlamaRunner) -> None:
    logits = [5.0, 4.0, 1.0]
    said = (0, 1, 2, 0, 1, 2, 0, 1)  # 2 would be the third time
    dry = {"temperature": 0.0, "dry_multiplier": 4.0, "logit_bias": ((102, 6.0),)}
    assert Drawing(starter_runner, logits, temperature=0.0, logit_bias=((102, 6.0),)).remember(*said).draw() == 2
    assert Drawing(starter_runner, logits, **dry).remember(*said).draw() == 0
    long_enough = Drawing(starter_runner, logits, **dry, dry_allowed_length=20).remember(*said)
    assert long_enough.draw() == 2, "sequences up to the allowed length may repeat"
    near = Drawing(starter_runner, logits, **dry, dry_penalty_last_n=2).remember(*said)
    assert near.draw() == 2, "it looks no further back than it is told"


def test_a_breaker_ends_what_dry_compares(starter_runner: LlamaRunner) -> None:
    vocabulary = starter_runner.vocabulary
    (blank,) = vocabulary.tokenize([" and"])
    params: dict[str, Any] = OPEN | {"temperature": 0.0, "dry_multiplier": 4.0}
    chosen = []
    for breakers in ((" and",), ("#",)):
        drawing = Drawing(starter_runner, [5.0, 4.0], **params, dry_sequence_breakers=breakers)
        chosen.append(drawing.remember(1, blank - 100, 0, 1, blank - 100).draw())
    assert chosen == [0, 1], "behind a breaker everything may be said again"


# --- temperature and surprise ----------------------------------------------------------------------------------------


def test_a_dynamic_temperature_is_low_where_the_model_is_sure(starter_runner: LlamaRunner) -> None:
    sure, unsure = logits_of(0.9, 0.05, 0.05), logits_of(0.4, 0.3, 0.3)
    plain = Drawing(starter_runner, sure, temperature=1.0).counts(1000)
    dynamic = Drawing(starter_runner, sure, temperature=1.0, dynatemp_range=1.0).counts(1000)
    assert dynamic[0] > plain[0] + 20
    plain = Drawing(starter_runner, unsure, temperature=1.0).counts(1000)
    dynamic = Drawing(starter_runner, unsure, temperature=1.0, dynatemp_range=1.0).counts(1000)
    assert dynamic[0] < plain[0]


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_to_the_surprise_it_is_given(starter_runner: LlamaRunner, version: int) -> None:
    """Over ranks with falling odds: little surprise means few of the first ranks, much means many."""
    logits = [-np.log(rank) for rank in range(1, 200)]
    calm = Drawing(starter_runner, logits, mirostat=version, mirostat_tau=1.0).counts(600)
    wild = Drawing(starter_runner, logits, mirostat=version, mirostat_tau=6.0).counts(600)
    assert len(calm) * 3 < len(wild)


def test_mirostat_takes_the_place_of_what_cuts_off(starter_runner: LlamaRunner) -> None:
    counts = Drawing(starter_runner, [0.0] * 20, mirostat=2, mirostat_tau=5.0, top_k=1).counts()
    assert len(counts) == 20


# --- with the real model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 1.2},
        {"temperature": 1.2, "xtc_probability": 0.5, "typical_p": 0.9, "top_n_sigma": 2.0, "dry_multiplier": 0.8},
        {"mirostat": 1},
        {"mirostat": 2},
        {"temperature": 0.8, "dynatemp_range": 0.5, "repeat_penalty": 1.1},
    ],
)
def test_the_same_seed_says_the_same(starter_runner: LlamaRunner, sampling: dict[str, Any]) -> None:
    answers = [tokens_of(write(starter_runner, QUESTION, seed=seed, max_tokens=12, **sampling)) for seed in (7, 7, 8)]
    assert answers[0] == answers[1] != answers[2]


def test_an_answer_that_may_not_end_goes_on(starter_runner: LlamaRunner) -> None:
    question = "Answer with one word: what is the capital of France?"
    ends = write(starter_runner, question, temperature=0.0, max_tokens=60)
    goes_on = write(starter_runner, question, temperature=0.0, max_tokens=60, ignore_eos=True)
    assert is_finished(starter_runner, ends)
    assert len(goes_on) == 60
    assert not is_finished(starter_runner, goes_on)
    assert tokens_of(goes_on)[: len(ends) - 1] == tokens_of(ends)[:-1]


def test_a_banned_token_is_not_said(starter_runner: LlamaRunner) -> None:
    first = write(starter_runner, QUESTION, temperature=0.0, max_tokens=1)[0].token
    other = write(starter_runner, QUESTION, temperature=0.0, max_tokens=1, logit_bias=((first, -100.0),))[0].token
    assert other != first


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        ({"typical_p": 0.0}, "typical_p must be between 0.001 and 1, not 0"),
        ({"top_n_sigma": float("nan")}, "top_n_sigma must be between"),
        ({"dry_base": 0.5}, "dry_base must be between 1 and 10"),
        ({"dry_penalty_last_n": -2}, "dry_penalty_last_n must be between -1"),
        ({"dry_sequence_breakers": ("",)}, "dry_sequence_breakers takes at most 16 texts of 1 to 40"),
        ({"dry_sequence_breakers": ("a\0b",)}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": tuple("e" * n for n in range(2, 7))}, "at most 4 texts of more than one character"),
        ({"xtc_threshold": 0.6}, "xtc_threshold must be between 0 and 0.5"),
        ({"mirostat": 3}, "mirostat must be between 0 and 2"),
        ({"mirostat_eta": -1.0}, "mirostat_eta"),
        ({"logprobs": 21}, "logprobs must be between 0 and 20, not 21"),
        ({"logit_bias": ((50_000_000, 1.0),)}, "token 50000000, which does not exist. This model's tokens are 0 to"),
        ({"logit_bias": ((-1, 1.0),)}, "token -1"),
        ({"logit_bias": ((5, 101.0),)}, "logit_bias must be between -100 and 100, not 101 for token 5"),
        ({"mirostat": 2, "xtc_probability": 0.5}, "xtc_probability has no effect beside mirostat"),
        ({"temperature": 0.0, "mirostat": 1}, "mirostat has no effect at temperature 0"),
    ],
)
def test_what_cannot_be_used_is_named(starter_runner: LlamaRunner, sampling: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        starter_runner.create_sampler(SamplingParams(**sampling))
    assert words in str(refusal.value)


def test_any_text_of_the_vocabulary_can_be_shown(starter_runner: LlamaRunner) -> None:
    written = write(starter_runner, "Say hello.", temperature=0.0)
    assert text_of(starter_runner, written)
    assert all(starter_runner.vocabulary.shown_bytes(token) for token in tokens_of(written))
