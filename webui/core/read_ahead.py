"""Reads what a person is still typing, so that the answer to it begins almost at once.

One reader belongs to one open page; the newest draft takes the place of the one before. It knows when to read and what
came of it; how a draft becomes a prompt is the chat's, and when there is time for it is the engine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from webui.core.alive import Asked
from webui.core.tasks import OwnedTasks
from webui.errors import GlasshouseError
from webui.types import Finished, GenerationEvent, PromptProgress, Usage

BuildDraft = Callable[[str | None, str], Awaitable[Asked]]
Prefill = Callable[[Asked, asyncio.Event], AsyncGenerator[GenerationEvent, None]]


class ReadAhead:
    """What was read of one message while it was typed: a span of its prompt, in tokens."""

    def __init__(self) -> None:
        self._start: int | None = None  # of the first reading: what was in memory before anything was typed
        self._end = 0

    def note(self, num_cached: int, num_read: int) -> None:
        """A reading has ended: `num_cached` tokens were there, `num_read` are there now."""
        self._start = num_cached if self._start is None else min(self._start, num_cached)
        self._end = num_read

    def num_used(self, usage: Usage) -> int:
        """How many of them the answer did not have to read again."""
        return 0 if self._start is None else max(0, min(usage.cached_tokens, self._end) - self._start)


class DraftReader:
    """`read` each draft, `take` what was read when the message is sent, `stop` when the page is gone."""

    def __init__(self, build: BuildDraft, prefill: Prefill, tasks: OwnedTasks) -> None:
        self._build = build
        self._prefill = prefill
        self._tasks = tasks
        self._conversation: str | None = None
        self._ahead = ReadAhead()
        self._stop = asyncio.Event()  # of the newest reading

    def read(self, conversation_id: str | None, text: str) -> None:
        """Read this draft in place of the former one. Returns at once and never raises."""
        self._stop.set()
        if conversation_id != self._conversation:
            self._conversation, self._ahead = conversation_id, ReadAhead()
        if text.strip():
            self._stop = asyncio.Event()
            self._tasks.start(self._read(conversation_id, text, self._ahead, self._stop))

    def take(self, conversation_id: str | None) -> ReadAhead | None:
        """The message of this conversation is sent: stop reading and hand over what was read of it."""
        self._stop.set()
        ahead = self._ahead if conversation_id == self._conversation else None
        self._ahead = ReadAhead()
        return ahead

    def stop(self) -> None:
        self._stop.set()

    async def _read(self, conversation_id: str | None, text: str, ahead: ReadAhead, stop: asyncio.Event) -> None:
        num_read = 0
        try:
            request = await self._build(conversation_id, text)
            if stop.is_set():
                return
            async with aclosing(self._prefill(request, stop)) as events:
                async for event in events:
                    if isinstance(event, PromptProgress):
                        num_read = event.done
                    elif isinstance(event, Finished):
                        ahead.note(event.usage.cached_tokens, max(num_read, event.usage.cached_tokens))
        except GlasshouseError:  # nobody asked for anything yet: the message itself will be told
            return
