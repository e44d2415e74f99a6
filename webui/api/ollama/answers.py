"""`/api/chat` and `/api/generate`: an answer as lines of JSON, or as one object.

An empty request loads the model, or unloads it when `keep_alive` is 0. It does not know how records look.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from webui.api.answers import Asking, Events
from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ServerStopping, describe
from webui.api.gathered import Gathered
from webui.api.hangup import run_while_connected
from webui.api.ndjson import MEDIA_TYPE, LineStream, line
from webui.api.ollama.loading import load_or_unload
from webui.api.ollama.records import Records, chat_shape, generate_shape
from webui.api.ollama.requests import ChatRequest, GenerateRequest
from webui.core.application import Application
from webui.errors import GlasshouseError
from webui.types import ReasoningDelta, TextDelta

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "Lines of JSON, or one object with `stream` false"}
}
_PATH = "/api/chat"  # whichever of the two: errors have one shape

router = APIRouter()


@router.post("/chat", summary="Answer a conversation", response_class=JSONResponse, responses=_RESPONSES)
async def chat(body: ChatRequest, request: Request, application: App, owner: Owner) -> Response:
    """The last line has the figures, durations in nanoseconds. The answer stops when the client hangs up."""
    return await _answer(body, Records(body.model, chat_shape), request, application, owner)


@router.post("/generate", summary="Answer a prompt", response_class=JSONResponse, responses=_RESPONSES)
async def generate(body: GenerateRequest, request: Request, application: App, owner: Owner) -> Response:
    """As `/api/chat`; with `raw` the prompt is read as it is, without the chat template."""
    return await _answer(body, Records(body.model, generate_shape), request, application, owner)


async def _answer(
    body: ChatRequest | GenerateRequest, records: Records, request: Request, application: Application, owner: str
) -> Response:
    body.refuse_unknown()
    if body.is_empty:
        work = load_or_unload(application, body.model_name, body.keep_alive)
        done = await run_while_connected(request.receive, get_stopping(request), work)
        return JSONResponse(records.nothing_said(done))
    asking = Asking(body, owner)
    if not body.is_streamed:
        gathered = await asking.collect(request, application, body.keep_alive)
        return JSONResponse(records.last(gathered, asking, is_whole=True))
    events = await asking.begin(request, application, body.keep_alive)
    farewell = line(describe(ServerStopping(), _PATH))
    return LineStream(_lines(records, asking, events), get_stopping(request), farewell)


async def _lines(records: Records, asking: Asking, events: Events) -> AsyncGenerator[bytes, None]:
    """The lines of a streamed answer. An error that comes after the headers is the last one."""
    gathered = Gathered()
    async with aclosing(events):
        try:
            async for event in events:
                gathered.take(event)
                match event:
                    case TextDelta(text=text):
                        yield line(records.piece(gathered, text=text))
                    case ReasoningDelta(text=text):
                        yield line(records.piece(gathered, thinking=text))
                    case _:
                        pass
            if gathered.calls:
                yield line(records.calls(gathered.calls))
            yield line(records.last(gathered, asking))
        except GlasshouseError as error:
            yield line(describe(error, _PATH))
