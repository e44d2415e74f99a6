"""One timer for each model that nobody uses: when it runs out, the model goes. It knows times, not what going means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from webui.core.live_model import LiveModel


class IdleTimers:
    """`start` when a model becomes idle, `stop` when somebody uses it again."""

    def __init__(self, on_end: Callable[[LiveModel], object]) -> None:
        self._on_end = on_end
        self._timers: dict[LiveModel, asyncio.TimerHandle] = {}

    def start(self, live: LiveModel, seconds: float) -> None:
        self.stop(live)
        self._timers[live] = asyncio.get_running_loop().call_later(seconds, self._end, live)

    def stop(self, live: LiveModel) -> None:
        if (timer := self._timers.pop(live, None)) is not None:
            timer.cancel()

    def seconds_left(self, live: LiveModel) -> float | None:
        """None while none runs."""
        timer = self._timers.get(live)
        return None if timer is None else max(0.0, timer.when() - asyncio.get_running_loop().time())

    def _end(self, live: LiveModel) -> None:
        self._timers.pop(live, None)
        self._on_end(live)
