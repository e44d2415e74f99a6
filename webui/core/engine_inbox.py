"""Where the events of one request wait for their reader; neighbouring pieces of text are joined, so it stays short."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from webui.errors import GlasshouseError
from webui.types import Finished, GenerationEvent, PromptProgress, Queued, ReasoningDelta, TextDelta, ToolCallDelta


class Inbox:
    """One writer, one reader, both in the event loop's thread."""

    def __init__(self) -> None:
        self._events: deque[GenerationEvent] = deque()
        self._error: GlasshouseError | None = None
        self._ready = asyncio.Event()

    def put(self, event: GenerationEvent) -> None:
        if self._events and (joined := _join(self._events[-1], event)):
            self._events[-1] = joined
        else:
            self._events.append(event)
        self._ready.set()

    def fail(self, error: GlasshouseError) -> None:
        """The request ends with `error`, behind the events that came before."""
        self._error = self._error or error
        self._ready.set()

    @property
    def unread_end(self) -> Finished | None:
        """The last event, where it has come and was not taken yet."""
        last = self._events[-1] if self._events else None
        return last if isinstance(last, Finished) else None

    async def get(self) -> GenerationEvent:
        """The next event. Raises the error once all events are taken."""
        while not self._events:
            if self._error is not None:
                raise self._error.with_traceback(None)  # it may be everybody's: each raising would make it longer
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()


def _join(last: GenerationEvent, event: GenerationEvent) -> GenerationEvent | None:
    """One event in place of two, where nothing is lost by it."""
    if isinstance(last, TextDelta) and isinstance(event, TextDelta):
        return TextDelta(text=last.text + event.text)
    if isinstance(last, ReasoningDelta) and isinstance(event, ReasoningDelta):
        return ReasoningDelta(text=last.text + event.text)
    if isinstance(last, ToolCallDelta) and isinstance(event, ToolCallDelta) and last.index == event.index:
        return msgspec.structs.replace(last, arguments=last.arguments + event.arguments)
    if isinstance(last, Queued | PromptProgress) and type(last) is type(event):
        return event
    return None
