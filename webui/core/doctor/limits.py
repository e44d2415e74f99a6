"""How long an examination may take, and how its time is shared out.

Everything that computes asks the budget how much it may do: a model that is slow on this machine is asked for less, not
for longer. It does not know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoctorLimits:
    """`seconds` bounds all of it but the first load and waiting for people. Tokens are those of the field's usual
    figures (pp512, tg128); a slow model gets fewer, and its figures say so."""

    seconds: float = 60.0
    prompt_tokens: int = 512
    written_tokens: int = 128
    repetitions: int = 5
    answer_tokens: int = 64  #: of one probe answer
    trial_rounds: int = 6
    has_trials: bool = True


class Budget:
    """The time of one examination. What is given back (waiting for people, the first load) does not count."""

    CHECKS_SHARE = 0.5  #: of all, for everything before the trials
    SPEED_SHARE = 0.25  #: of all, for measuring the speed, but for the first repetitions

    def __init__(self, limits: DoctorLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._began_at = clock()
        self._paused_seconds = 0.0

    @property
    def used(self) -> float:
        return self._clock() - self._began_at - self._paused_seconds

    @property
    def left(self) -> float:
        return max(0.0, self.limits.seconds - self.used)

    @property
    def left_for_checks(self) -> float:
        share = self.CHECKS_SHARE if self.limits.has_trials else 1.0
        return max(0.0, self.limits.seconds * share - self.used)

    @property
    def fraction(self) -> float:
        """Of the time that is gone, 0 to 1."""
        return min(1.0, self.used / self.limits.seconds) if self.limits.seconds > 0 else 1.0

    def now(self) -> float:
        return self._clock()

    def give_back(self, seconds: float) -> None:
        """So much of the time that passed does not count."""
        self._paused_seconds += seconds
