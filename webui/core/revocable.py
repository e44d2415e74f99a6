"""Work that somebody else may end: what `asyncio.timeout` does for time, for a decision.

It knows nothing of keys or requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Revocable:
    """`with Revocable(make_error) as work:`; after `work.revoke()` the block is cancelled and raises that error."""

    def __init__(self, make_error: Callable[[], Exception]) -> None:
        self._make_error = make_error
        self._task: asyncio.Task[object] | None = None
        self._num_cancelled = 0
        self._is_revoked = False

    def revoke(self) -> None:
        """More than once does no more than once, and nothing once the block has ended, or in the block itself: who
        revokes what lets them in is still answered."""
        if self._task is not None and self._task is not asyncio.current_task() and not self._is_revoked:
            self._is_revoked = True
            self._task.cancel()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("only a task can be revoked")
        self._num_cancelled = self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None or not self._is_revoked:
            return
        was_by_us = task.uncancel() <= self._num_cancelled
        if was_by_us and (kind is None or issubclass(kind, asyncio.CancelledError)):
            raise self._make_error() from None
