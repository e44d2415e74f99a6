"""The step budget: how many tokens the next step may have, so that nobody waits long for its end.

A step cannot be interrupted: while it reads a prompt, the streams of everybody else stand still, and a Stop is not
heard. So its length is bounded in seconds, and the tokens that fit are learned from how long reading took. It does not
know the clock; it is told durations.
"""

from __future__ import annotations

SECONDS_ALONE = 0.5  #: a step that reads one prompt while nobody writes: a Stop is not heard for so long
SECONDS_OF_ONE = 0.36  #: a step that reads one prompt: streams stand still for so long
MOST_SECONDS_OF_ONE = 1.0  #: the same where a single token takes long, too
SECONDS_IN_CROWD = 0.15  #: while others wait or read, too: who comes now must not wait long for the end of a step
LEAST_TOKENS = 32  #: shorter chunks waste the arithmetic that reading in chunks saves
_EFFICIENT = 32  #: multiples of so many tokens are read fastest
_FIRST_TOKENS = 128  #: before anything was measured
_FEW_TOKENS = 4  #: steps of so many take as long as one pass over the weights
_PASSES = 20  #: a step that reads beside writers is at least as long as so many of theirs
_WEIGHT = 0.3  #: of the newest step in the estimate


class StepBudget:
    """Learns seconds per prompt token; `most_tokens` is what the engine's batch holds.

    With `splits_writers` (separate streams) llama.cpp computes a step in two parts: one token of everybody, then the
    rest of whoever reads. So one token more makes that rest the size that is read fastest: with SmolLM2 on two cores
    65 tokens beside a writer take 0.21 s, 64 take 0.25 s.

    Each step costs a pass over the weights for the writers, however little it reads. With a large model, of which one
    takes long, short steps would spend most of their time on that: there they are longer.
    """

    def __init__(self, most_tokens: int, *, splits_writers: bool = False) -> None:
        self._most_tokens = most_tokens
        self._splits_writers = splits_writers
        self._seconds_per_token: float | None = None
        self._seconds_of_pass = 0.0

    def tokens(self, *, num_writers: int, is_crowded: bool) -> int:
        """How many tokens the next step may have, one for each writer among them; `is_crowded`: several read or
        wait."""
        chunk = _FIRST_TOKENS
        if self._seconds_per_token is not None:
            alone = self._seconds_beside_writers() if num_writers else SECONDS_ALONE
            seconds = SECONDS_IN_CROWD if is_crowded else alone
            chunk = max(LEAST_TOKENS, round(seconds / self._seconds_per_token / _EFFICIENT) * _EFFICIENT)
        beside = num_writers + 1 if num_writers and self._splits_writers else num_writers
        return min(self._most_tokens, chunk + beside)

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A step computed `num_tokens` in so many seconds. Short ones tell what a pass takes, not how fast it reads."""
        if num_tokens <= _FEW_TOKENS:
            known = self._seconds_of_pass or seconds
            self._seconds_of_pass = known + _WEIGHT * (seconds - known)
        if num_tokens < min(LEAST_TOKENS, self._most_tokens):
            return
        measured = seconds / num_tokens
        known = measured if self._seconds_per_token is None else self._seconds_per_token
        self._seconds_per_token = known + _WEIGHT * (measured - known)

    def _seconds_beside_writers(self) -> float:
        return max(SECONDS_OF_ONE, min(MOST_SECONDS_OF_ONE, _PASSES * self._seconds_of_pass))
