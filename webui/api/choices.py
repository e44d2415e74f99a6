"""Several answers to one question side by side: their events as one stream, each with the number of its choice.

The engine reads the prompt once for all of them. It does not know what the events say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from webui.types import GenerationEvent, GenerationRequest

Change = Callable[[GenerationRequest], GenerationRequest]
Events = AsyncGenerator[GenerationEvent, None]
NumberedEvents = AsyncGenerator[tuple[int, GenerationEvent], None]


def vary(request: GenerationRequest, count: int) -> list[GenerationRequest]:
    """The same request once for each choice; a seed counts up, or all choices would be the same."""
    seed = request.sampling.seed
    if seed is None:
        return [request] * count
    return [
        msgspec.structs.replace(
            request, sampling=msgspec.structs.replace(request.sampling, seed=(seed + index) % 2**63)
        )
        for index in range(count)
    ]


def as_it_is(request: GenerationRequest) -> GenerationRequest:
    """The change that is none."""
    return request


async def merge(answers: Sequence[Events]) -> NumberedEvents:
    """Every event of every answer as it comes. The first error ends them all, and so does closing."""
    if len(answers) == 1:  # as nearly always: no task stands between
        async with aclosing(answers[0]) as only:
            async for event in only:
                yield 0, event
        return
    queue: asyncio.Queue[tuple[int, GenerationEvent | None]] = asyncio.Queue()  # None: that answer has ended

    async def pass_on(index: int, events: Events) -> None:
        async with aclosing(events):
            async for event in events:
                queue.put_nowait((index, event))

    def note_end(index: int, _: asyncio.Task[None]) -> None:
        queue.put_nowait((index, None))

    tasks = [asyncio.create_task(pass_on(index, events)) for index, events in enumerate(answers)]
    for index, task in enumerate(tasks):
        task.add_done_callback(partial(note_end, index))
    num_open = len(tasks)
    try:
        while num_open:
            index, news = await queue.get()
            if news is not None:
                yield index, news
            else:
                num_open -= 1
                await tasks[index]  # raises its error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
