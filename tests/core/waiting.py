"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], object], *, seconds: float = 5.0) -> None:
    """Return once the condition holds; fail after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.002)


async def until_async(condition: Callable[[], Awaitable[object]], *, seconds: float = 5.0) -> None:
    """The same for a condition that has to be awaited."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.01)
