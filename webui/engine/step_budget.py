"""The step budget: how many prompt tokens the next step may read, so that nobody waits long for its end.

A step cannot be interrupted: while it reads a prompt, the streams of everybody else stand still, and a Stop is not
heard. So its length is bounded in seconds, and the tokens that fit are learned from how long reading took. It does not
know the clock; it is told durations.
"""

from __future__ import annotations

SECONDS_OF_ONE = 0.35  #: a step that reads one prompt: streams stand still for so long, and a Stop is not heard
SECONDS_IN_CROWD = 0.15  #: while others wait or read, too: who comes now must not wait long for the end of a step
LEAST_TOKENS = 32  #: shorter chunks waste the arithmetic that reading in chunks saves
_EFFICIENT = 64  #: multiples of so many tokens are read fastest
_FIRST_TOKENS = 128  #: before anything was measured
_WEIGHT = 0.3  #: of the newest step in the estimate


class StepBudget:
    """Learns seconds per prompt token; `most_tokens` is what the engine's batch holds."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._seconds_per_token: float | None = None

    def tokens(self, *, is_crowded: bool) -> int:
        """How many tokens the next step may take; `is_crowded`: several read or wait."""
        if self._seconds_per_token is None:
            return min(_FIRST_TOKENS, self._most_tokens)
        seconds = SECONDS_IN_CROWD if is_crowded else SECONDS_OF_ONE
        tokens = seconds / self._seconds_per_token
        if tokens > _EFFICIENT:
            tokens = round(tokens / _EFFICIENT) * _EFFICIENT
        return max(min(LEAST_TOKENS, self._most_tokens), min(self._most_tokens, int(tokens)))

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A step computed `num_tokens` in so many seconds. Short steps say nothing about reading."""
        if num_tokens < min(LEAST_TOKENS, self._most_tokens):
            return
        measured = seconds / num_tokens
        known = measured if self._seconds_per_token is None else self._seconds_per_token
        self._seconds_per_token = known + _WEIGHT * (measured - known)
