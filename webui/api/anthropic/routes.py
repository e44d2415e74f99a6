"""The routes of Anthropic's dialect.

`anthropic-version` is not asked for; a key may come as `x-api-key`. While a request waits or reads its prompt, `ping`
events keep its connection alive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from webui.api.answers import Asking, Events
from webui.api.anthropic.reply import Reply, StreamEvent
from webui.api.anthropic.requests import CountRequest, MessagesRequest
from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ServerStopping, describe
from webui.api.hangup import run_while_connected
from webui.api.sse import EventStream, event_frame
from webui.errors import GlasshouseError
from webui.types import PromptProgress, Queued

PATH = "/v1/messages"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "A `message`, or its events"}
}
_PING: StreamEvent = {"type": "ping"}

router = APIRouter(prefix="/v1", tags=["Anthropic"])


@router.post("/messages", summary="Write a message", response_class=JSONResponse, responses=_RESPONSES)
async def create_message(body: MessagesRequest, request: Request, application: App, owner: Owner) -> Response:
    """What the model thinks comes in blocks of its own. The answer stops when the client hangs up."""
    body.refuse_unknown()
    asking = Asking(body, owner)
    events = await asking.begin(request, application, body.keep_alive)
    reply, stopping = Reply(asking.model, body.max_tokens, tells_thoughts=body.tells_thoughts), get_stopping(request)
    if not body.stream:
        return JSONResponse(await run_while_connected(request.receive, stopping, _collect(reply, events)))
    return EventStream(_frames(reply, events), stopping, farewell=event_frame(describe(ServerStopping(), PATH)))


@router.post("/messages/count_tokens", summary="How long a prompt is")
async def count_tokens(body: CountRequest, request: Request, application: App, owner: Owner) -> dict[str, int]:
    """In tokens of the model that is named, through its own template; nothing is answered."""
    body.refuse_unknown()
    return {"input_tokens": await Asking(body, owner).count(request, application)}


async def _collect(reply: Reply, events: Events) -> dict[str, Any]:
    async with aclosing(events):
        async for event in events:
            deque(reply.take(event), maxlen=0)
    return reply.whole()


async def _frames(reply: Reply, events: Events) -> AsyncGenerator[bytes, None]:
    """The frames of a streamed message. An error that comes after the headers is the last one."""
    has_begun = False
    async with aclosing(events):
        try:
            async for event in events:
                if not has_begun:
                    has_begun = True
                    yield event_frame(reply.start(event.total if isinstance(event, PromptProgress) else 0))
                if isinstance(event, Queued | PromptProgress):
                    yield event_frame(_PING)
                for told in reply.take(event):
                    yield event_frame(told)
        except GlasshouseError as error:
            yield event_frame(describe(error, PATH))
