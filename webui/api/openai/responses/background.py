"""Responses that are written in the background: begun at once, read whenever somebody asks, ended when somebody wants.

Every event is kept as a frame until the response is done and a while longer, so that a stream can be taken up again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from webui.api.dependencies import get_stopping
from webui.api.errors import ServerStopping
from webui.api.openai.responses.turn import Turn
from webui.api.sse import EventStream, event_frame
from webui.core.application import Application
from webui.core.responses import RunningResponse
from webui.errors import GlasshouseError
from webui.types import PromptProgress, Queued

_log = logging.getLogger(__name__)


async def start_in_background(turn: Turn, request: Request, application: Application, owner: str) -> Response:
    """The response as it is at its beginning, or its stream. Raises EngineBusy, or UnknownModel."""
    responses, reply = application.responses, turn.reply
    responses.check_room(owner)
    if turn.prompt.model_name is not None:
        await application.models.names.find(turn.prompt.model_name)
    await application.responses.store.add(turn.stored, turn.items)
    running = responses.start(reply.id, owner, partial(_write, turn, application), lambda: reply.object)
    if turn.body.stream:
        return EventStream(running.log.read(), get_stopping(request), farewell=b"")
    return JSONResponse(reply.object)


async def _write(turn: Turn, application: Application, running: RunningResponse) -> None:
    """To its end, whichever it is: that is kept, too."""
    reply, log = turn.reply, running.log
    for begun in reply.begin(is_queued=True):
        log.append(event_frame(begun))
    try:
        async with aclosing(turn.tell_failures(turn.asking.ask(application, turn.body.keep_alive))) as told:
            async for event in told:
                if not isinstance(event, Queued | PromptProgress):
                    log.append(event_frame(event))
        return
    except asyncio.CancelledError:
        last = reply.cancel() if running.is_cancelled else reply.fail(ServerStopping())
    except Exception:  # noqa: BLE001 - the edge of its task: a response may not seem to run for ever
        _log.exception("A response in the background failed")
        last = reply.fail(GlasshouseError("Something went wrong inside Glasshouse. The server's log says what."))
    await turn.keep()
    log.append(event_frame(last))
