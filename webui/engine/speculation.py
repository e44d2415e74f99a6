"""Speculation: decides how many guessed tokens ride along in the next step.

A step that checks guesses costs more than a plain one and brings more tokens if they are right. How much more it costs
is learned from the steps themselves, how often the guesses are right from each sequence's own past; the lengths chosen
are those that bring the most tokens per second, all writers together, without slowing down anybody who has no guess.
Being wrong is rationed: an account, in plain steps, earns a little with every plain step and what good guesses save,
and pays for what bad ones waste; what it could not nearly pay for is not tried. So speculation as a whole cannot cost
more than that little. It knows neither tokens nor a clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from webui.engine.acceptance import Acceptance
from webui.engine.context_size import SPARE_OUTPUTS
from webui.engine.step_costs import MAX_SIZE, StepCosts

MAX_DRAFT = 15  #: guessed tokens of one sequence in one step
_MARGIN = 1.05  #: guesses must bring so many times the tokens per second of plain decoding
_RIDER_PACE = 0.97  #: nobody's own pace may fall below this share of the plain one...
_WAIVED_EVERY = 64  #: ...but once in so many steps, since costs that are never measured again may be mistaken
_RATION = 0.02  #: share of the plain steps that may be wasted
_RISK = 2.0  #: what a step may waste at most, as a multiple of what there is
_FIRST_CREDIT, _MOST_CREDIT = 3.0, 40.0  #: plain steps
_GROWTH = 2  #: a step may be so many times as large as the largest that was measured
_PLAIN_EVERY = 64  #: steps after which a plain one shows what guesses are compared with
_UNUSUAL = 2.0  #: a step of a known size is charged at most so many times its usual cost
_HOPELESS = 0.02  #: a token that is right so rarely is not worth its place


@dataclass(frozen=True, slots=True)
class Offer:
    """Guesses that one sequence could have checked. `kind` tells guesses of different trustworthiness apart."""

    key: Hashable
    num_tokens: int
    kind: int = 0
    seconds_per_token: float = 0.0  #: what making them costs, when they are still to be made


class Speculation:
    """One for the engine. Each step: `plan`, compute, `observe_step`; and `observe_draft` as soon as a guess is told
    right or wrong, whether it was in a step or not."""

    def __init__(self, priors: Mapping[int, float] | None = None) -> None:
        """`priors`: by kind of guess, how often one is right before anything is known."""
        self._costs = StepCosts()
        self._acceptance = Acceptance(priors)
        self._credit = _FIRST_CREDIT
        self._num_plain = 0  # steps since the last one with guesses

    def observe_step(
        self,
        num_tokens: int,
        seconds: float,
        *,
        num_drafted: int = 0,
        num_accepted: int = 0,
        drafting_seconds: float = 0.0,
    ) -> None:
        """A step of writers only took this long, and making the guesses `drafting_seconds` before it. `num_tokens`
        includes `num_drafted` guesses, `num_accepted` of which were right."""
        num_writers = num_tokens - num_drafted
        if not num_drafted:
            self._costs.observe(num_tokens, seconds)
            self._num_plain += 1
            self._credit = max(self._credit, min(_MOST_CREDIT, self._credit + _RATION))
            return
        usual = self._costs.table()[num_tokens] if self._costs.age(num_tokens) is not None else seconds
        self._costs.observe(num_tokens, seconds)
        self._num_plain = 0
        plain = self._costs.table()[min(num_writers, MAX_SIZE)]
        if plain > 0:
            spent = min(seconds, _UNUSUAL * usual) + drafting_seconds  # what slows everything down is no guess's fault
            saved = 1 + num_accepted / num_writers - spent / plain
            self._credit = min(_MOST_CREDIT, self._credit + saved)

    def observe_draft(self, key: Hashable, proposed: int, accepted: int, kind: int = 0) -> None:
        """Of `proposed` guesses the first `accepted` were right."""
        self._acceptance.observe(key, proposed, accepted, kind)

    def forget(self, key: Hashable) -> None:
        """The sequence has ended."""
        self._acceptance.forget(key)

    def draft_length(self, key: Hashable, num_others: int, max_tokens: int = MAX_DRAFT) -> int:
        """How many guesses of one sequence to check beside `num_others` tokens of others; 0: none."""
        return self.plan([Offer(key, max_tokens)], num_others + 1)[0]

    def plan(self, offers: Sequence[Offer], num_writers: int) -> list[int]:
        """How many tokens of each offer to take in a step where `num_writers` sequences write."""
        none = [0] * len(offers)
        if not offers or self._credit <= 0:
            return none
        age = self._costs.age(num_writers)
        if age is None or age >= _PLAIN_EVERY:
            return none
        table = self._costs.table()
        largest = min(MAX_SIZE, _GROWTH * max(num_writers, self._costs.largest))
        most = min(SPARE_OUTPUTS, largest - num_writers)
        return self._search(offers, num_writers, table, most) or none

    def _search(self, offers: Sequence[Offer], num_writers: int, table: list[float], most: int) -> list[int] | None:
        """Give the next place in the step to the guess that is most probably right, as long as there are any, and keep
        the best of all these steps. A later guess is right less often than those before it, so nothing is missed."""
        plain = table[num_writers]
        odds = [self._acceptance.odds(offer.key, offer.kind) for offer in offers]
        gains = [1.0] * len(offers)  # tokens that each sequence can expect
        counts = [0] * len(offers)
        heap = [(-first, index) for index, (first, _) in enumerate(odds) if offers[index].num_tokens > 0]
        heapify(heap)
        expected, drafting = float(num_writers), 0.0
        affordable = plain * (1 + _RISK * self._credit)  # were all of them wrong
        pace = _RIDER_PACE if self._num_plain < _WAIVED_EVERY else 0.0
        best, best_rate = None, _MARGIN * num_writers / plain
        for size in range(num_writers + 1, num_writers + most + 1):
            if not heap or -heap[0][0] < _HOPELESS:
                break
            chance, index = -heap[0][0], heap[0][1]
            counts[index] += 1
            gains[index] += chance
            expected += chance
            drafting += offers[index].seconds_per_token
            is_spent = counts[index] >= min(MAX_DRAFT, offers[index].num_tokens)
            heapreplace(heap, (0.0 if is_spent else -chance * odds[index][1], index))
            seconds = table[size] + drafting
            if seconds > affordable:
                break
            if expected > best_rate * seconds:
                slowest = min(gains) if len(offers) == num_writers else 1.0
                if slowest * plain >= pace * seconds:
                    best, best_rate = counts.copy(), expected / seconds
        return best
