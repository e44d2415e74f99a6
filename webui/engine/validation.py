"""Checks the numbers of a request before they reach C code, where a bad one would be an abort instead of a sentence."""

from __future__ import annotations

import math

from webui.errors import InvalidRequest
from webui.types import SamplingParams

_LARGEST = 2**31 - 1  #: of C's int
_RANGES = {
    "temperature": (0.0, 10.0),
    "top_k": (0, _LARGEST),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 10.0),
    "presence_penalty": (-10.0, 10.0),
    "frequency_penalty": (-10.0, 10.0),
    "repeat_last_n": (-1, _LARGEST),
    "typical_p": (0.001, 1.0),
    "top_n_sigma": (-100.0, 100.0),
    "dry_multiplier": (0.0, 100.0),
    "dry_base": (1.0, 10.0),
    "dry_allowed_length": (1, _LARGEST),
    "dry_penalty_last_n": (-1, _LARGEST),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 0.5),
    "mirostat": (0, 2),
    "mirostat_tau": (0.0, 100.0),
    "mirostat_eta": (0.0, 1.0),
    "dynatemp_range": (0.0, 10.0),
    "dynatemp_exponent": (0.0, 10.0),
    "logprobs": (0, 20),
}
MAX_STOPS = 16
MAX_STOP_LENGTH = 1000
MAX_BREAKERS = 16
MAX_BREAKER_LENGTH = 40
MAX_LONG_BREAKERS = 4  #: llama.cpp needs up to 0.1 s for each to look at 50,000 tokens, and everybody waits
MAX_BIASES = 1024
MAX_BIAS = 100.0


def check_sampling(sampling: SamplingParams, num_vocab: int) -> None:
    """Raise InvalidRequest with the first thing that cannot be used, naming the field and its range.

    `num_vocab`: the size of the vocabulary, for token ids.
    """
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if value is not None and (not math.isfinite(value) or not low <= value <= high):
            raise InvalidRequest(f"{name} must be between {low:g} and {high:g}, not {value:g}.")
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InvalidRequest(f"max_tokens must be at least 1, not {sampling.max_tokens}.")
    if len(sampling.stop) > MAX_STOPS or any(len(stop) > MAX_STOP_LENGTH for stop in sampling.stop):
        raise InvalidRequest(f"stop takes at most {MAX_STOPS} texts of at most {MAX_STOP_LENGTH} characters.")
    _check_breakers(sampling.dry_sequence_breakers)
    _check_biases(sampling, num_vocab)
    _check_together(sampling)


def _check_breakers(breakers: tuple[str, ...]) -> None:
    if len(breakers) > MAX_BREAKERS or not all(
        0 < len(text) <= MAX_BREAKER_LENGTH and "\0" not in text for text in breakers
    ):
        raise InvalidRequest(
            f"dry_sequence_breakers takes at most {MAX_BREAKERS} texts of 1 to {MAX_BREAKER_LENGTH} characters."
        )
    if sum(len(text) > 1 for text in breakers) > MAX_LONG_BREAKERS:
        raise InvalidRequest(
            f"dry_sequence_breakers takes at most {MAX_LONG_BREAKERS} texts of more than one character."
        )


def _check_biases(sampling: SamplingParams, num_vocab: int) -> None:
    if len(sampling.logit_bias) > MAX_BIASES:
        raise InvalidRequest(f"logit_bias takes at most {MAX_BIASES:,} tokens, not {len(sampling.logit_bias):,}.")
    for token, bias in sampling.logit_bias:
        if not 0 <= token < num_vocab:
            known = f" This model's tokens are 0 to {num_vocab - 1}."
            raise InvalidRequest(f"logit_bias names token {token}, which does not exist.{known}")
        if not math.isfinite(bias) or abs(bias) > MAX_BIAS:
            raise InvalidRequest(f"logit_bias must be between -100 and 100, not {bias:g} for token {token}.")


def _check_together(sampling: SamplingParams) -> None:
    """What would silently have no effect is refused, when it was asked for on purpose."""
    if sampling.temperature == 0 and sampling.dynatemp_range == 0:
        for name in ("xtc_probability", "mirostat"):
            if getattr(sampling, name):
                raise InvalidRequest(f"{name} has no effect at temperature 0. Leave it out, or raise the temperature.")
    if sampling.mirostat:
        others = SamplingParams()
        for name in ("typical_p", "top_n_sigma", "xtc_probability", "dynatemp_range"):
            if getattr(sampling, name) != getattr(others, name):
                raise InvalidRequest(f"{name} has no effect beside mirostat. Leave one of them out.")
    if sampling.grammar is not None and sampling.ignore_eos:
        raise InvalidRequest("ignore_eos cannot be honoured together with a grammar, which says where an answer ends.")
