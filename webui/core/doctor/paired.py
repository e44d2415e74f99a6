"""Compares two ways to do the same work by timing them in turns: a machine that is slow for a while slows both.

Sums over pairs of durations. Of each pair the ratio counts; its logarithm, because a half and a double weigh the same.
The 95 % interval is Student's, over the rounds so far.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.03  #: less is not worth another setting
FEWEST_ROUNDS = 3
# Two-sided 95 % quantiles of Student's t by degrees of freedom (any table of it); beyond, the normal distribution's.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` is how many times as fast the tried way is; `low` and `high` are its interval."""

    ratio: float
    low: float
    high: float
    num_rounds: int

    @property
    def is_better(self) -> bool:
        """Clearly, and by enough to matter."""
        return self.num_rounds >= FEWEST_ROUNDS and self.low > 1.0 and self.ratio >= 1.0 + MARGIN

    @property
    def is_worse(self) -> bool:
        return self.num_rounds >= FEWEST_ROUNDS and self.high < 1.0

    @property
    def is_decided(self) -> bool:
        """Whether another round could not change what is done: clearly better, or certainly not by enough."""
        return self.is_better or (self.num_rounds >= FEWEST_ROUNDS and self.high < 1.0 + MARGIN)


def compare(usual: Sequence[float], tried: Sequence[float]) -> Comparison:
    """Durations of the same work, pair by pair. Raises ValueError for none, or ones that are not positive."""
    logs = [math.log(slow / fast) for slow, fast in zip(usual, tried, strict=True)]
    mean = statistics.fmean(logs)
    spread = math.inf
    if len(logs) > 1:
        freedom = len(logs) - 1
        student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else _NORMAL
        spread = student * statistics.stdev(logs) / math.sqrt(len(logs))
    return Comparison(
        ratio=math.exp(mean),
        low=math.exp(mean - spread),
        high=math.exp(min(mean + spread, 700.0)),  # beyond, it is no number any more
        num_rounds=len(logs),
    )
