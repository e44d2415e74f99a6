"""Measures how busy the engine is, for the status line: at most one report a second, and only when it changed."""

from __future__ import annotations

from webui.types import EngineLoad

INTERVAL = 1.0


class LoadMeter:
    """Counts tokens between reports. Times are seconds of the loop's monotonic clock."""

    def __init__(self, kv_total: int, now: float) -> None:
        self._kv_total = kv_total
        self._last = EngineLoad(kv_total=kv_total)
        self._reported_at = now
        self._num_tokens = 0

    def count(self, num_tokens: int) -> None:
        self._num_tokens += num_tokens

    def seconds_left(self, now: float) -> float:
        """Until the next report may be made."""
        return max(0.0, self._reported_at + INTERVAL - now)

    def is_settled(self, num_running: int, num_waiting: int) -> bool:
        """Whether the last report still tells the truth about an engine that now does nothing."""
        last = self._last
        return last.tokens_per_second == 0 and (last.num_running, last.num_waiting) == (num_running, num_waiting)

    def report(self, *, num_running: int, num_waiting: int, kv_used: int, now: float) -> EngineLoad | None:
        """The load, or None when it is too early or nothing changed."""
        if self.seconds_left(now) > 0:
            return None
        speed = self._num_tokens / (now - self._reported_at)
        load = EngineLoad(
            num_running=num_running,
            num_waiting=num_waiting,
            kv_used=kv_used,
            kv_total=self._kv_total,
            tokens_per_second=round(speed, 1),
        )
        self._num_tokens, self._reported_at = 0, now
        if load == self._last:
            return None
        self._last = load
        return load
