"""How often guesses are right: per sequence, and over all of them for sequences that are new.

A guess is checked token by token until one is wrong, so two odds describe it: that the first token is right, and that
the next one is when the one before was. Old checks fade. It does not know who guesses or what.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

_FADE, _FADE_OF_ALL = 0.97, 0.995  #: what a check still counts one check later
_WEIGHT_OF_ALL = 4.0  #: checks for which a new sequence believes the others
_PRIOR, _WEIGHT_OF_PRIOR = 0.5, 4.0  #: and what the very first one believes, if nothing else is said


@dataclass(slots=True)
class _Odds:
    """Right ones among those checked, the old ones faded."""

    right: float = 0.0
    checked: float = 0.0

    def observe(self, num_right: int, has_wrong: bool, fade: float) -> None:
        for is_right in [1] * num_right + [0] * has_wrong:
            self.right = self.right * fade + is_right
            self.checked = self.checked * fade + 1

    def estimate(self, prior: float, weight: float) -> float:
        return (self.right + prior * weight) / (self.checked + weight)


@dataclass(slots=True)
class _Guesses:
    """The two odds of one kind of guess."""

    first: _Odds
    later: _Odds

    def observe(self, proposed: int, accepted: int, fade: float) -> None:
        self.first.observe(min(1, accepted), accepted == 0, fade)
        if proposed > 1 and accepted > 0:
            self.later.observe(accepted - 1, accepted < proposed, fade)


class Acceptance:
    """The odds by key (a sequence) and kind (guesses that are about as good as each other)."""

    def __init__(self, priors: Mapping[int, float] | None = None) -> None:
        """`priors`: by kind, the odds that are believed before anything was checked."""
        self._priors = priors or {}
        self._by_key: dict[Hashable, dict[int, _Guesses]] = {}
        self._of_all: dict[int, _Guesses] = {}

    def observe(self, key: Hashable, proposed: int, accepted: int, kind: int) -> None:
        """Of `proposed` tokens the first `accepted` were right, and the next one, if there was one, was not."""
        if proposed > 0:
            mine = self._by_key.setdefault(key, {}).setdefault(kind, _new())
            mine.observe(proposed, accepted, _FADE)
            self._of_all.setdefault(kind, _new()).observe(proposed, accepted, _FADE_OF_ALL)

    def odds(self, key: Hashable, kind: int) -> tuple[float, float]:
        """The probability that the first token is right, and that each further one is if all before it are."""
        all_ = self._of_all.get(kind) or _new()
        prior = self._priors.get(kind, _PRIOR)
        first, later = (odds.estimate(prior, _WEIGHT_OF_PRIOR) for odds in (all_.first, all_.later))
        mine = self._by_key.get(key, {}).get(kind)
        if mine is None:
            return first, later
        return mine.first.estimate(first, _WEIGHT_OF_ALL), mine.later.estimate(later, _WEIGHT_OF_ALL)

    def forget(self, key: Hashable) -> None:
        self._by_key.pop(key, None)


def _new() -> _Guesses:
    return _Guesses(_Odds(), _Odds())
