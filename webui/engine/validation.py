"""Checks the numbers of a request before they reach C code, where a bad one would be an abort instead of a sentence."""

from __future__ import annotations

import math

from webui.errors import InvalidRequest
from webui.types import SamplingParams

_RANGES = {
    "temperature": (0.0, 10.0),
    "top_k": (0, 1_000_000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 10.0),
    "presence_penalty": (-10.0, 10.0),
    "frequency_penalty": (-10.0, 10.0),
}
MAX_STOPS = 16
MAX_STOP_LENGTH = 1000


def check_sampling(sampling: SamplingParams) -> None:
    """Raise InvalidRequest with the first thing that cannot be used, naming the field and its range."""
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if not math.isfinite(value) or not low <= value <= high:
            raise InvalidRequest(f"{name} must be between {low:g} and {high:g}, not {value:g}.")
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InvalidRequest(f"max_tokens must be at least 1, not {sampling.max_tokens}.")
    if len(sampling.stop) > MAX_STOPS or any(len(stop) > MAX_STOP_LENGTH for stop in sampling.stop):
        raise InvalidRequest(f"stop takes at most {MAX_STOPS} texts of at most {MAX_STOP_LENGTH} characters.")
