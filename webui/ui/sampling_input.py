"""Sampling as a browser sends it, made safe: known names only, numbers within what makes sense. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from webui.types import SamplingParams

_RANGES = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (1.0, 2.0),
}
_LARGEST = 2**31 - 1


def read_sampling(given: Mapping[str, Any]) -> SamplingParams:
    """What is missing or no number takes its default; the rest is moved into its range."""
    values = SamplingParams()
    for name, (lowest, highest) in _RANGES.items():
        number = _read_number(given.get(name))
        if number is not None:
            values = msgspec.structs.replace(values, **{name: min(highest, max(lowest, number))})
    top_k = read_count(given.get("top_k"), at_least=0)
    return msgspec.structs.replace(
        values,
        top_k=values.top_k if top_k is None else min(1000, top_k),
        max_tokens=read_count(given.get("max_tokens"), at_least=1),
        seed=read_count(given.get("seed"), at_least=0),
    )


def read_count(given: object, *, at_least: int, at_most: int = _LARGEST) -> int | None:
    """A whole number, or None for nothing."""
    number = _read_number(given)
    return None if number is None else min(at_most, max(at_least, round(number)))


def _read_number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return None
    return float(given)
