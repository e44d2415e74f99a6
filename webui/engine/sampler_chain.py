"""The sampler chain: llama.cpp's samplers for the parameters of one request, in the order of llama.cpp's own tools.

Logit bias, penalties and DRY move logits; top-n-sigma, top-k, typical, top-p, min-p and XTC cut off; temperature scales
what is left, and the last one draws. Mirostat cuts off and draws by itself. It does not see logits.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from collections.abc import Sequence as Items

import llama_cpp

from webui.types import SamplingParams

_SEED_BITS = 32
_MIROSTAT_M = 100  # of the paper and of llama.cpp
_NEARLY_ZERO = 1e-30  # probabilities below make llama.cpp's typical sampler compute with NaN


def create_chain(
    sampling: SamplingParams,
    vocab: llama_cpp.llama_vocab_p,
    *,
    window: int,
    banned: Items[int] = (),
) -> llama_cpp.llama_sampler_p:
    """A chain that the caller frees. `window`: how many generated tokens there can be to look back at; tokens that are
    `banned` are never chosen. The numbers must have been checked."""
    chain: llama_cpp.llama_sampler_p = llama_cpp.llama_sampler_chain_init(
        llama_cpp.llama_sampler_chain_default_params()
    )
    for sampler in _samplers(sampling, vocab, window, banned):
        llama_cpp.llama_sampler_chain_add(chain, sampler)  # the chain owns it from here on
    return chain


def is_plain_greedy(sampling: SamplingParams) -> bool:
    """Whether the chain takes the best of the logits as they are (but for banned tokens)."""
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    moves_logits = bool(sampling.logit_bias) or penalties != (1.0, 0.0, 0.0) or sampling.dry_multiplier > 0
    return sampling.temperature == 0 and sampling.dynatemp_range == 0 and not moves_logits


def _samplers(
    sampling: SamplingParams, vocab: llama_cpp.llama_vocab_p, window: int, banned: Items[int]
) -> Iterator[llama_cpp.llama_sampler_p]:
    num_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
    seed = _seed(sampling.seed)
    yield from _shift_logits(sampling, vocab, num_vocab, window, banned)
    if sampling.temperature == 0 and sampling.dynatemp_range == 0:
        yield llama_cpp.llama_sampler_init_greedy()
        return
    if not sampling.mirostat:
        yield from _cut_off(sampling, seed)
    yield llama_cpp.llama_sampler_init_temp_ext(
        sampling.temperature, sampling.dynatemp_range, sampling.dynatemp_exponent
    )
    if sampling.mirostat == 1:
        tau, eta = sampling.mirostat_tau, sampling.mirostat_eta
        yield llama_cpp.llama_sampler_init_mirostat(num_vocab, seed, tau, eta, _MIROSTAT_M)
    elif sampling.mirostat == 2:
        yield llama_cpp.llama_sampler_init_mirostat_v2(seed, sampling.mirostat_tau, sampling.mirostat_eta)
    else:
        yield llama_cpp.llama_sampler_init_dist(seed)


def _shift_logits(
    sampling: SamplingParams, vocab: llama_cpp.llama_vocab_p, num_vocab: int, window: int, banned: Items[int]
) -> Iterator[llama_cpp.llama_sampler_p]:
    biases = [*sampling.logit_bias, *((token, -float("inf")) for token in banned)]
    if biases:
        array = (llama_cpp.llama_logit_bias * len(biases))(*(llama_cpp.llama_logit_bias(*bias) for bias in biases))
        yield llama_cpp.llama_sampler_init_logit_bias(num_vocab, len(biases), array)
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    if penalties != (1.0, 0.0, 0.0):
        last = _look_back(sampling.repeat_last_n, window)
        yield llama_cpp.llama_sampler_init_penalties(num_vocab, last, *penalties)
    if sampling.dry_multiplier > 0:
        breakers = [text.encode("utf-8", "replace") for text in sampling.dry_sequence_breakers]
        yield llama_cpp.llama_sampler_init_dry(
            vocab,
            sampling.dry_multiplier,
            sampling.dry_base,
            sampling.dry_allowed_length,
            _look_back(sampling.dry_penalty_last_n, window),
            (ctypes.c_char_p * len(breakers))(*breakers),
            len(breakers),
        )


def _cut_off(sampling: SamplingParams, seed: int) -> Iterator[llama_cpp.llama_sampler_p]:
    if sampling.top_n_sigma > 0:
        yield llama_cpp.llama_sampler_init_top_n_sigma(sampling.top_n_sigma)
    if sampling.top_k > 0:
        yield llama_cpp.llama_sampler_init_top_k(sampling.top_k)
    if sampling.typical_p < 1:
        yield llama_cpp.llama_sampler_init_min_p(_NEARLY_ZERO, 1)
        yield llama_cpp.llama_sampler_init_typical(sampling.typical_p, 1)
    if sampling.top_p < 1:
        yield llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)
    if sampling.min_p > 0:
        yield llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
    if sampling.xtc_probability > 0:
        # a stream of its own: with the seed of the draw, both would see the same first number
        yield llama_cpp.llama_sampler_init_xtc(sampling.xtc_probability, sampling.xtc_threshold, 1, _seed(seed + 1))


def _look_back(wanted: int, window: int) -> int:
    return window if wanted == -1 else min(wanted, window)


def _seed(seed: int | None) -> int:
    """A 32-bit seed; the value that means "any" to llama.cpp is avoided."""
    value = random.getrandbits(_SEED_BITS) if seed is None else seed % 2**_SEED_BITS
    return value if value != llama_cpp.LLAMA_DEFAULT_SEED else 0
