"""Fair shares: who gets the next token when there are fewer than everybody wants.

Each flow (an owner in a priority class) has a counter of the tokens it was served, weighted by its class: a program's
token counts as four, background work's as sixteen. The flow with the lowest counter goes next. That is deficit round
robin with tokens as its unit (the counters and the lift are those of "Fairness in Serving Large Language Models", Sheng
et al., OSDI 2024), and no class can starve another for ever. It counts; it does not schedule.
"""

from __future__ import annotations

from collections import Counter

from webui.types import Priority

Flow = tuple[str, Priority]
WEIGHTS = {Priority.INTERACTIVE: 1, Priority.API: 4, Priority.BACKGROUND: 16, Priority.IDLE: 64}


class FairShare:
    """Counters of weighted tokens; only flows with open requests take part."""

    def __init__(self) -> None:
        self._served: dict[Flow, int] = {}
        self._num_open: Counter[Flow] = Counter()

    def served(self, flow: Flow) -> int:
        return self._served[flow]

    def join(self, flow: Flow) -> None:
        """A request of `flow` arrives. Whoever was away has not saved up: it starts level with the least served."""
        if not self._num_open[flow]:
            floor = min((self._served[other] for other in self._num_open), default=0)
            self._served[flow] = max(self._served.get(flow, 0), floor)
        self._num_open[flow] += 1

    def leave(self, flow: Flow) -> None:
        """A request of `flow` ended. Counters that could make no difference any more are forgotten."""
        self._num_open[flow] -= 1
        if not self._num_open[flow]:
            del self._num_open[flow]
            floor = min((self._served[other] for other in self._num_open), default=None)
            self._served = {
                other: count
                for other, count in self._served.items()
                if other in self._num_open or (floor is not None and count > floor)
            }

    def charge(self, flow: Flow, num_tokens: int) -> None:
        self._served[flow] += num_tokens * WEIGHTS[flow[1]]
