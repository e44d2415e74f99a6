"""Work that belongs to a connection: it stops when the client hangs up or the server stops.

Starlette alone lets a request that is not streamed run to its end, and notices the end of a streamed one only when it
writes. Here a watcher waits for the disconnect beside the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from webui.api.errors import ClientGone, ServerStopping

T = TypeVar("T")


async def _wait_for_hangup(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_while_connected(receive: Receive, stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Cancels it and raises ClientGone when the client leaves, ServerStopping at shutdown.

    The request's body must have been read: what is still received counts as the watcher's.
    """
    task = asyncio.create_task(work)
    watchers = [asyncio.create_task(_wait_for_hangup(receive)), asyncio.create_task(stopping.wait())]
    try:
        await asyncio.wait([task, *watchers], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone if watchers[0].done() else ServerStopping
    finally:
        for one in (task, *watchers):
            one.cancel()
        await asyncio.gather(task, *watchers, return_exceptions=True)
