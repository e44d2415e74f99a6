"""The Responses API over HTTP: responses made, and prompts counted.

A response belongs to its connection unless it is made in the background: when the client hangs up, the model stops and
nothing is stored.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from webui.api.answers import Asking
from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ServerStopping
from webui.api.hangup import run_while_connected
from webui.api.openai.request import ChatRequest
from webui.api.openai.responses.background import start_in_background
from webui.api.openai.responses.requests import CountRequest, Prompt, ResponseRequest
from webui.api.openai.responses.turn import find_history, find_items, frames, prepare
from webui.api.sse import EventStream, event_frame
from webui.core.application import Application

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "A `response`, or its events"}
}

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post("/responses", summary="Make a response", response_class=JSONResponse, responses=_RESPONSES)
async def create_response(body: ResponseRequest, request: Request, application: App, owner: Owner) -> Response:
    """The model reads `input`, behind everything that `previous_response_id` stands for, and answers. With `stream` the
    response comes as server-sent events, with `background` it is written while nobody waits."""
    turn = await prepare(body, owner, application)
    if body.background:
        return await start_in_background(turn, request, application, owner)
    stopping = get_stopping(request)
    events = await turn.asking.begin(request, application, body.keep_alive)
    if body.stream:
        return EventStream(
            frames(turn.tell_failures(events)), stopping, lambda: event_frame(turn.reply.fail(ServerStopping()))
        )
    await run_while_connected(request.receive, stopping, _exhaust(turn.tell(events)))
    return JSONResponse(turn.reply.object)


@router.post("/responses/input_tokens", summary="How long a response's prompt is")
async def count_input_tokens(body: CountRequest, request: Request, application: App, owner: Owner) -> dict[str, Any]:
    """In tokens of the model that is named, through its own template; nothing is answered."""
    body.refuse_unsupported()
    store = application.responses.store
    items = await find_items(body, owner, store)
    history = await find_history(body, owner, store)
    return await _count(Asking(Prompt(body, [*history, *items]), owner), request, application)


@router.post("/chat/completions/input_tokens", summary="How long a chat completion's prompt is")
async def count_chat_tokens(body: ChatRequest, request: Request, application: App, owner: Owner) -> dict[str, Any]:
    """The same for a chat completion, as llama.cpp's server has it."""
    body.refuse_unsupported()
    return await _count(Asking(body, owner), request, application)


async def _count(asking: Asking, request: Request, application: Application) -> dict[str, Any]:
    return {"object": "response.input_tokens", "input_tokens": await asking.count(request, application)}


async def _exhaust(events: AsyncGenerator[Any, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            pass
