"""Fair shares: who gets the next token when there are fewer than everybody wants.

Each flow (an owner in a priority class) has a counter of the tokens it was served, weighted by its class: a program's
token counts as four, background work's as sixteen. The flow with the lowest counter goes next. That is deficit round
robin with tokens as its unit (the counters and the lift are those of "Fairness in Serving Large Language Models", Sheng
et al., OSDI 2024), and no class can starve another for ever. Who comes back after a pause is a little ahead: so a short
question is answered before somebody's fifty long ones, and who asks often has used that up. It counts; it does not
schedule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from webui.types import Priority

Flow = tuple[str, Priority]
CREDIT = 2048  #: weighted tokens that a flow which was away is ahead of the least served one
WEIGHTS = {Priority.INTERACTIVE: 1, Priority.API: 4, Priority.BACKGROUND: 16, Priority.IDLE: 64}


class FairShare:
    """Counters of weighted tokens; only flows with open requests take part.

    `_level` is where a flow is that gets exactly its share: it rises with everything that is served, so those who come
    begin ever higher, and whoever waits is some day the least served. A credit is paid back with what is served: as
    long as a flow is below the level where it began, its tokens count double.
    """

    def __init__(self) -> None:
        self._served: dict[Flow, float] = {}
        self._num_open: Counter[Flow] = Counter()
        self._credit: dict[Flow, float] = {}  # not paid back yet, by flow with open requests
        self._level = 0.0

    def served(self, flow: Flow) -> float:
        return self._served[flow]

    def has_credit(self, flow: Flow) -> bool:
        """Whether it is still ahead of its share."""
        return self._credit[flow] > 0

    def join(self, flow: Flow) -> None:
        """A request of `flow` arrives. Whoever was away has not saved up more than the credit."""
        if not self._num_open[flow]:
            start = self._level - CREDIT
            served = self._served[flow] = max(self._served.get(flow, start), start)
            self._credit[flow] = max(0.0, self._level - served)
        self._num_open[flow] += 1

    def leave(self, flow: Flow) -> None:
        """A request of `flow` ended. Counters that could make no difference any more are forgotten."""
        self._num_open[flow] -= 1
        if not self._num_open[flow]:
            del self._num_open[flow], self._credit[flow]
            floor = self._level - CREDIT if self._num_open else math.inf
            self._served = {
                other: count for other, count in self._served.items() if other in self._num_open or count > floor
            }

    def charge(self, tokens: Mapping[Flow, int]) -> None:
        """A step computed so many tokens of each flow."""
        weighted = {flow: count * WEIGHTS[flow[1]] for flow, count in tokens.items()}
        for flow, count in weighted.items():
            repaid = min(self._credit[flow], count)
            self._credit[flow] -= repaid
            self._served[flow] += count + repaid
        if weighted:
            self._level += sum(weighted.values()) / len(weighted)
