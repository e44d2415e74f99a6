"""Log-probabilities are the model's own, whatever the samplers do afterwards."""

from __future__ import annotations

import math

import llama_cpp
import numpy as np
import pytest

from tests.engine.writing import prompt_tokens, tokens_of, write
from webui.engine.logprobs import token_logprobs
from webui.engine.model_runner import LlamaRunner
from webui.library.catalog import find_starter
from webui.types import AlternativeToken, Grammar, TokenLogprobs

QUESTION = "Name a colour."


def test_log_softmax_best_first() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.2, 0.1], np.float32)) + np.float32(300)
    odds = token_logprobs(logits, 0, 2, lambda token: b"%d" % token)
    assert [token.token for token in (odds.chosen, *odds.top)] == [b"0", b"1", b"2"]
    assert [math.exp(token.logprob) for token in (odds.chosen, *odds.top)] == pytest.approx([0.1, 0.6, 0.2], rel=1e-4)


def test_none_of_the_alternatives_may_be_asked_for() -> None:
    odds = token_logprobs(np.zeros(4, np.float32), 3, 0, lambda _token: b"x")
    assert odds == TokenLogprobs(chosen=AlternativeToken(token=b"x", logprob=odds.chosen.logprob), top=())
    assert odds.chosen.logprob == pytest.approx(math.log(0.25))


def test_all_alternatives_add_up_to_one() -> None:
    odds = token_logprobs(np.linspace(-5, 5, 20, dtype=np.float32), 3, 20, lambda token: b"%d" % token)
    assert sum(math.exp(token.logprob) for token in odds.top) == pytest.approx(1)
    assert odds.chosen in odds.top


def test_they_are_those_of_llama_cpps_own_front_end(starter_runner: LlamaRunner) -> None:
    written = write(starter_runner, QUESTION, temperature=0.0, logprobs=5, max_tokens=4)
    prompt = prompt_tokens(starter_runner, QUESTION)
    llama = llama_cpp.Llama(
        str(find_starter()), n_ctx=512, n_threads=1, n_threads_batch=1, flash_attn=True, logits_all=True, verbose=False
    )
    llama.eval([*prompt, *tokens_of(written)])
    for index, sampled in enumerate(written):
        logprobs = llama_cpp.Llama.logits_to_logprobs(llama.scores[len(prompt) - 1 + index])
        assert sampled.logprobs is not None
        assert sampled.logprobs.chosen == sampled.logprobs.top[0], "greedy takes the best"
        assert sampled.logprobs.chosen.token == starter_runner.vocabulary.token_bytes(sampled.token)
        assert sampled.logprobs.chosen.logprob == pytest.approx(float(logprobs[sampled.token]), abs=0.3)
        assert len(sampled.logprobs.top) == 5
    llama.close()


def test_samplers_and_forms_do_not_change_them(starter_runner: LlamaRunner) -> None:
    (plain,) = write(starter_runner, QUESTION, temperature=0.0, logprobs=2, max_tokens=1)
    form = Grammar(kind="choice", source='["Xylophone"]')
    (forced,) = write(starter_runner, QUESTION, logprobs=2, max_tokens=1, grammar=form, temperature=2.0)
    (biased,) = write(
        starter_runner, QUESTION, temperature=0.0, logprobs=2, max_tokens=1, logit_bias=((plain.token, -100.0),)
    )
    assert plain.logprobs and forced.logprobs and biased.logprobs
    assert plain.logprobs.top == forced.logprobs.top == biased.logprobs.top
    assert forced.logprobs.chosen.logprob < plain.logprobs.top[1].logprob
    assert biased.logprobs.chosen == plain.logprobs.top[1]


def test_thoughts_and_the_end_have_none(starter_runner: LlamaRunner) -> None:
    written = write(
        starter_runner, "Answer with one word: what is the capital of France?",
        temperature=0.0, logprobs=0, max_tokens=60, thinks_for=2,
    )  # fmt: skip
    has_logprobs = [sampled.logprobs is not None for sampled in written]
    assert has_logprobs == [False, False, *[True] * (len(written) - 3), False]
