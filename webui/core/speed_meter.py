"""How fast something moves, over the last seconds. It asks no clock: whoever tells it a position tells the time too."""

from __future__ import annotations

from collections import deque

_WINDOW_SECONDS = 6.0


class SpeedMeter:
    """Bytes and seconds. The speed is 0 until there are two positions, and again when nothing came for a while."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def reset(self) -> None:
        self._points.clear()

    def add(self, now: float, position: int) -> None:
        self._points.append((now, position))
        while len(self._points) > 2 and self._points[1][0] <= now - _WINDOW_SECONDS:
            self._points.popleft()

    @property
    def bytes_per_second(self) -> float:
        if len(self._points) < 2:
            return 0.0
        (start, first), (end, last) = self._points[0], self._points[-1]
        return max(0.0, (last - first) / (end - start)) if end > start else 0.0

    def seconds_left(self, missing_bytes: int) -> float | None:
        speed = self.bytes_per_second
        return missing_bytes / speed if speed > 0 else None
