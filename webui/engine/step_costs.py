"""What a step costs by its number of tokens, learned from the steps that were computed.

Between two measured sizes the cost is thought to lie on a line, but with a knee: kernels compute four rows at once, and
on a CPU a step of 8 tokens costs less than one of 6 or 7. So a size in between is thought to cost as much as the next
multiple of four, until it is measured itself. What was not measured for long is not believed any more: people come and
go, contexts grow, other programs want the cores. Costs are seconds; it knows no clock and does not know what is in a
step.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SIZE = 40  #: tokens of a step; what is longer reads a prompt
_TRUSTED = 2  #: steps until a size counts as measured: a single one may have met a hiccup
_GAIN = 0.1  #: weight of the newest step
_OUTLIER = 2.0  #: a step counts at most as so many times the usual one
_HOPE = 0.5  #: share of the usual price of a token that one in an unmeasured, bigger step is thought to cost
_ROWS = 4  #: that are computed at once
_NEWS = 0.01  #: smaller changes are not worth a new table
_MAX_AGE = 2000  #: steps until a measured size has to prove itself again


@dataclass(slots=True)
class _Size:
    """One size: its running mean, and when it was computed last."""

    seconds: float
    num_steps: int = 1
    last_step: int = 0


class StepCosts:
    """A running estimate for every size, 1..MAX_SIZE."""

    def __init__(self) -> None:
        self._sizes: dict[int, _Size] = {}
        self._num_steps = 0
        self._table: list[float] | None = None  # by size, interpolated; None: must be made anew
        self._largest = 0  # measured size in it
        self._next_expiry = 0

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A step of `num_tokens` took this long."""
        self._num_steps += 1
        if not 1 <= num_tokens <= MAX_SIZE:
            return
        size = self._sizes.get(num_tokens)
        if size is None or self._num_steps - size.last_step > _MAX_AGE:
            size = self._sizes[num_tokens] = _Size(seconds)
        elif size.num_steps < _TRUSTED:
            size.seconds = min(size.seconds, seconds)
            size.num_steps += 1
            self._table = None
        else:
            size.seconds += _GAIN * (min(seconds, _OUTLIER * size.seconds) - size.seconds)
        size.last_step = self._num_steps
        if self._table is not None and abs(self._table[num_tokens] - size.seconds) > _NEWS * size.seconds:
            self._table = None

    def age(self, num_tokens: int) -> int | None:
        """How many steps ago this size was computed last; None when it is not measured (any more)."""
        size = self._sizes.get(num_tokens)
        if size is None or size.num_steps < _TRUSTED or self._num_steps - size.last_step > _MAX_AGE:
            return None
        return self._num_steps - size.last_step

    @property
    def largest(self) -> int:
        """The largest measured size; 0 when there is none."""
        self.table()
        return self._largest

    def table(self) -> list[float]:
        """Seconds by number of tokens, 0..MAX_SIZE. Beyond the largest measured size a token more costs half of what
        those before it cost: hope enough to make the next size worth a trial. All zeros while nothing is measured."""
        if self._table is None or self._num_steps >= self._next_expiry:
            self._table = self._interpolate()
            self._next_expiry = self._num_steps + _MAX_AGE // 10
        return self._table

    def _interpolate(self) -> list[float]:
        known = sorted((size, entry.seconds) for size, entry in self._sizes.items() if self.age(size) is not None)
        self._largest = known[-1][0] if known else 0
        table = [0.0] * (MAX_SIZE + 1)
        if not known:
            return table
        left, cost = known[0]
        table[: left + 1] = [cost] * (left + 1)
        for size, seconds in known[1:]:
            slope = (seconds - cost) / (size - left)
            table[left + 1 : size + 1] = [cost + slope * step for step in range(1, size - left + 1)]
            left, cost = size, seconds
        hope = _HOPE * max(0.0, cost - table[0]) / max(1, left - known[0][0])
        table[left + 1 :] = [cost + hope * step for step in range(1, MAX_SIZE - left + 1)]
        sizes = {size for size, _ in known}
        for size in range(_ROWS + 1, MAX_SIZE):
            if size not in sizes:
                table[size] = table[-(-size // _ROWS) * _ROWS]
        return table
