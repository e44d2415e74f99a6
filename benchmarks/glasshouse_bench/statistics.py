"""Medians, spreads and ratios of a few rounds. Pure; it knows no contestants."""

from __future__ import annotations

import statistics as standard
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """The median of some rounds and the range they spread over."""

    median: float
    low: float
    high: float
    rounds: int


def summarize(values: Sequence[float]) -> Summary:
    """Raises ValueError for no values at all."""
    if not values:
        raise ValueError("there is nothing to summarize")
    return Summary(standard.median(values), min(values), max(values), len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Ours by theirs, round by round: what disturbed a whole round cancels out."""
    pairs = list(zip(ours, theirs, strict=True))
    return summarize([our / their for our, their in pairs])
