"""The tokens that an answer is thought in: how many there were, and when there have been enough.

It does not know what the thoughts are, nor how they are ended.
"""

from __future__ import annotations


class Thoughts:
    """One answer's."""

    def __init__(self, budget: int | None = None) -> None:
        """`budget`: the most tokens of thoughts; None: no end."""
        self.num_tokens = 0
        self._budget = budget
        self._num_unclear = 0  #: tokens of which it has not shown yet what they are

    def take(self, *, is_thinking: bool, has_said: bool) -> None:
        """A token has come. `is_thinking`: before it or behind it; `has_said`: something that is no thought."""
        if is_thinking:
            self.num_tokens += 1 + self._num_unclear
            self._num_unclear = 0
        else:
            self._num_unclear = 0 if has_said else self._num_unclear + 1

    @property
    def is_spent(self) -> bool:
        return self._budget is not None and self.num_tokens >= self._budget
