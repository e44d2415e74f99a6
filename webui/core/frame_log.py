"""What a stream has sent so far, kept so that whoever comes later, or comes back, reads it from any place on.

It knows neither who writes nor what the frames say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


class FrameLog:
    """One writer, any number of readers; frames are counted from 0."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._is_closed = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._wake()

    def close(self) -> None:
        """Nothing more will come."""
        self._is_closed = True
        self._wake()

    async def read(self, start: int = 0) -> AsyncGenerator[bytes, None]:
        """The frames from this number on, those that are there and those that come, until the log is closed."""
        while True:
            changed = self._changed
            while start < len(self._frames):
                yield self._frames[start]
                start += 1
            if self._is_closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
