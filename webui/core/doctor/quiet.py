"""Waits until nobody uses the models, and does again what somebody disturbed.

Nothing is measured while people chat: their answers come first, and the figures would be of both together. It knows
what is busy only through a question that it asks again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from webui.core.doctor.limits import Budget

T = TypeVar("T")

POLL_SECONDS = 0.1
REST_SECONDS = 2.0  #: without an answer before it goes on: between two messages somebody reads and types


class Quiet:
    """`is_busy` says whether an answer is being written or a model is being loaded for somebody; `on_wait` is told when
    waiting begins (True) and ends. Waiting does not count for the budget, nor does work that was disturbed."""

    def __init__(
        self,
        is_busy: Callable[[], bool],
        budget: Budget,
        on_wait: Callable[[bool], None],
        *,
        poll_seconds: float = POLL_SECONDS,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self._is_busy = is_busy
        self._budget = budget
        self._on_wait = on_wait
        self._poll_seconds = poll_seconds
        self._rest_seconds = rest_seconds

    async def undisturbed(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the work while nobody uses the models; when somebody begins to, it is cancelled and done again later."""
        while True:
            await self.wait()
            began_at = self._budget.now()
            task = asyncio.ensure_future(work())
            watching = asyncio.ensure_future(self._until_busy())
            try:
                await asyncio.wait({task, watching}, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return await task
            finally:
                watching.cancel()
                task.cancel()
                await asyncio.gather(task, watching, return_exceptions=True)
            self._budget.give_back(self._budget.now() - began_at)

    async def wait(self) -> None:
        """Until nobody has used the models for a moment; at once when nobody does."""
        if not self._is_busy():
            return
        began_at = self._budget.now()
        self._on_wait(True)
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while self._is_busy() or loop.time() - quiet_since < self._rest_seconds:
            if self._is_busy():
                quiet_since = loop.time()
            await asyncio.sleep(self._poll_seconds)
        self._on_wait(False)
        self._budget.give_back(self._budget.now() - began_at)

    async def _until_busy(self) -> None:
        while not self._is_busy():  # noqa: ASYNC110 - a question has no event
            await asyncio.sleep(self._poll_seconds)
