"""From answers to a response in OpenAI's manner: one JSON object, or its chunks as server-sent events.

A request belongs to its connection. The first event is awaited before the headers go out, so that what is wrong with a
request is its status code and not a broken stream. How an object looks is for `Words` to say.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from webui.api.choices import Events, NumberedEvents, merge
from webui.api.dependencies import get_stopping
from webui.api.errors import ServerStopping, describe
from webui.api.hangup import run_while_connected
from webui.api.sse import DONE, EventStream, comment, frame
from webui.errors import GlasshouseError
from webui.types import GenerationEvent, PromptProgress, Queued, TokenLogprobs


class Words(Protocol):
    """Makes the objects of one answer with its choices."""

    @property
    def num_choices(self) -> int: ...

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        """The object of a whole answer."""

    def first_chunk(self, index: int) -> dict[str, Any] | None:
        """What a choice begins with."""

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        """The chunk of one event; None for the events that there is no word for."""

    def usage_chunk(self) -> dict[str, Any]:
        """Behind the end of every choice."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request on its way: its answers, one for each choice, which begin when they are read."""

    answers: Sequence[Events]
    #: called once the first event is there: only then it is certain who answers
    words: Callable[[], Words]

    async def collect(self) -> dict[str, Any]:
        """The object of the whole answer."""
        async with aclosing(merge(self.answers)) as events:
            first = await anext(events)
            return await self.words().collect(_chain(first, events))


async def respond(request: Request, question: Question, *, stream: bool, include_usage: bool) -> Response:
    stopping = get_stopping(request)
    if not stream:
        return JSONResponse(await run_while_connected(request.receive, stopping, question.collect()))
    events = merge(question.answers)
    first = await run_while_connected(request.receive, stopping, anext(events))
    frames = _frames(question.words(), first, events, request.url.path, include_usage=include_usage)
    return EventStream(frames, stopping, farewell=frame(describe(ServerStopping(), request.url.path)))


async def _frames(
    words: Words, first: tuple[int, GenerationEvent], events: NumberedEvents, path: str, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The frames of a streamed answer. An error that comes after the headers is the last frame."""
    async with aclosing(events):
        for index in range(words.num_choices):
            if (chunk := words.first_chunk(index)) is not None:
                yield frame(chunk)
        try:
            async for index, event in _chain(first, events):
                chunk = words.event_chunk(index, event)
                if chunk is not None:
                    yield frame(chunk)
                elif not isinstance(event, TokenLogprobs):  # comes with the next text
                    yield comment(waiting_for(event))
            if include_usage:
                yield frame(words.usage_chunk())
        except GlasshouseError as error:
            yield frame(describe(error, path))
        else:
            yield DONE


async def _chain(first: tuple[int, GenerationEvent], rest: NumberedEvents) -> NumberedEvents:
    yield first
    async for event in rest:
        yield event


def waiting_for(event: GenerationEvent) -> str:
    """In words, for a comment in the stream."""
    match event:
        case Queued(position=position):
            return f"queued at position {position}"
        case PromptProgress(done=done, total=total):
            return f"reading the prompt, {done} of {total} tokens"
        case _:
            return "waiting"
