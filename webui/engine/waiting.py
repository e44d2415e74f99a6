"""The waiting line: who waits for a slot, in which order they come in, and whose reading they wait for.

The least served comes first (`fairness`), counting what was promised to those already admitted. Who has most of a
prompt in common with somebody who is reading it right now follows that leader, and takes a copy. It admits nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from webui.engine.fairness import WEIGHTS, FairShare, Flow
from webui.engine.prefix_cache import Match
from webui.engine.sequence import Sequence

MAX_WAITING = 64


def flow_of(sequence: Sequence) -> Flow:
    return (sequence.owner, sequence.priority)


def committed_tokens(admitted: Iterable[Sequence]) -> Counter[Flow]:
    """Weighted tokens that admitted sequences have been promised but not served yet, by flow."""
    committed: Counter[Flow] = Counter()
    for sequence in admitted:
        committed[flow_of(sequence)] += sequence.num_remaining * WEIGHTS[sequence.priority]
    return committed


class WaitingLine:
    """Sequences without a slot; join and leave come in pairs."""

    def __init__(self, fair: FairShare) -> None:
        self._fair = fair
        self._leaders: dict[Sequence, Match] = {}
        self.sequences: list[Sequence] = []  #: in the order in which they joined
        self.version = 0  #: changes with every join and leave

    @property
    def num_waiting(self) -> int:
        """Those that somebody waits for."""
        return sum(not sequence.is_idle_work for sequence in self.sequences)

    @property
    def num_unled(self) -> int:
        """Those of them that do not let somebody else read for them."""
        return sum(not sequence.is_idle_work and sequence not in self._leaders for sequence in self.sequences)

    @property
    def is_full(self) -> bool:
        return self.num_waiting >= MAX_WAITING

    def join(self, sequence: Sequence) -> None:
        self.sequences.append(sequence)
        self.version += 1

    def leave(self, sequence: Sequence) -> None:
        self.sequences.remove(sequence)
        self._leaders.pop(sequence, None)
        self.version += 1

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def key(self, sequence: Sequence, committed: Counter[Flow]) -> tuple[float, int]:
        """Smaller comes in sooner."""
        flow = flow_of(sequence)
        return (self._fair.served(flow) + committed[flow], sequence.arrival)

    def order(self, admitted: Iterable[Sequence], may_move: Callable[[Sequence], bool]) -> list[Sequence]:
        """Who may come in, the least served first."""
        candidates = [sequence for sequence in self.sequences if may_move(sequence)]
        committed = committed_tokens(admitted) if candidates else Counter[Flow]()
        return sorted(candidates, key=lambda sequence: self.key(sequence, committed))

    def predict(self, admitted: Iterable[Sequence]) -> list[Sequence]:
        """Those who wait, in the order in which they would be admitted if nobody else came."""
        committed = committed_tokens(admitted)
        remaining = [sequence for sequence in self.sequences if not sequence.is_idle_work]
        order = []
        while remaining:
            following = min(remaining, key=lambda sequence: self.key(sequence, committed))
            remaining.remove(following)
            committed[flow_of(following)] += following.num_tokens * WEIGHTS[following.priority]
            order.append(following)
        return order

    # --- whose reading they wait for -------------------------------------------------------------------------------

    def follow(self, sequence: Sequence, match: Match) -> None:
        """`sequence` lets the match's leader read what they have in common."""
        self._leaders[sequence] = match

    def is_led(self, sequence: Sequence, may_move: Callable[[Sequence], bool]) -> bool:
        """Whether its leader still reads what they have in common."""
        match = self._leaders.get(sequence)
        if match is None:
            return False
        leader = match.leader
        is_moving = leader is not None and leader.slot is not None and may_move(leader)
        if is_moving and leader is not None and leader.num_computed_tokens < match.leader_length:
            return True
        del self._leaders[sequence]
        return False
