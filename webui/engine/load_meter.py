"""Measures how busy an engine is and what it has done, for the status line and the metrics.

At most one report a second, and only when something changed.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from webui.types import EngineLoad, EngineMetrics, FinishReason

INTERVAL = 1.0

End = FinishReason | Literal["failed", "refused"]


class LoadMeter:
    """Counts between reports, and since the beginning. Times are seconds of the loop's monotonic clock."""

    def __init__(self, kv_total: int, now: float) -> None:
        self._kv_total = kv_total
        self._last = EngineLoad(kv_total=kv_total)
        self._reported_at = now
        self._num_tokens = 0  # since the last report
        self._has_news = False
        self._num_written = self._num_read = 0
        self._num_drafted = self._num_accepted = 0
        self._num_steps, self._step_seconds = 0, 0.0
        self._num_finished: Counter[str] = Counter()

    # --- what is done ------------------------------------------------------------------------------------------------

    def count(self, num_tokens: int) -> None:
        """So many tokens were written."""
        self._num_tokens += num_tokens
        self._num_written += num_tokens

    def count_read(self, num_tokens: int) -> None:
        """So many were read, by a model that does nothing else."""
        self._num_tokens += num_tokens
        self._num_read += num_tokens

    def count_step(self, seconds: float, *, num_drafted: int = 0, num_accepted: int = 0) -> None:
        """A batch was computed; of the guesses in it so many were right."""
        self._has_news = True
        self._num_steps += 1
        self._step_seconds += seconds
        self._num_drafted += num_drafted
        self._num_accepted += num_accepted

    def count_end(self, how: End) -> None:
        """A request has ended, or was refused before it began."""
        self._has_news = True
        self._num_finished[how] += 1

    # --- telling it --------------------------------------------------------------------------------------------------

    def seconds_left(self, now: float) -> float:
        """Until the next report may be made."""
        return max(0.0, self._reported_at + INTERVAL - now)

    def is_settled(self, num_running: int, num_waiting: int) -> bool:
        """Whether the last report still tells the truth about an engine that now does nothing."""
        last = self._last
        is_quiet = last.tokens_per_second == 0 and not self._has_news
        return is_quiet and (last.num_running, last.num_waiting) == (num_running, num_waiting)

    def report(
        self,
        *,
        num_running: int,
        num_waiting: int,
        kv_used: int,
        now: float,
        kv_total: int | None = None,
        slots_used: int = 0,
        parked_bytes: int = 0,
        disk_bytes: int = 0,
        prompt_tokens: int = 0,
        cached_tokens: dict[str, int] | None = None,
        num_preemptions: int = 0,
    ) -> EngineLoad | None:
        """The load, or None when it is too early or nothing changed. The last three are counted since the beginning,
        by those who know."""
        if self.seconds_left(now) > 0:
            return None
        speed = self._num_tokens / (now - self._reported_at)
        load = EngineLoad(
            num_running=num_running,
            num_waiting=num_waiting,
            kv_used=kv_used,
            kv_total=self._kv_total if kv_total is None else kv_total,
            tokens_per_second=round(speed, 1),
            slots_used=slots_used,
            parked_bytes=parked_bytes,
            disk_bytes=disk_bytes,
            metrics=EngineMetrics(
                num_finished=dict(self._num_finished),
                prompt_tokens=prompt_tokens + self._num_read,
                cached_tokens=cached_tokens or {},
                generated_tokens=self._num_written,
                drafted_tokens=self._num_drafted,
                accepted_tokens=self._num_accepted,
                num_steps=self._num_steps,
                step_seconds=round(self._step_seconds, 6),
                num_preemptions=num_preemptions,
            ),
        )
        self._num_tokens, self._reported_at, self._has_news = 0, now, False
        if load == self._last:
            return None
        self._last = load
        return load
