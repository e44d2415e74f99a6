"""The WebSocket mode of `/v1/responses`: many responses over one connection, told in the same events as streams are.

A client sends `response.create`; messages of one `stream_id` (a lane) are answered one after the other, lanes side by
side. What is not to be stored can be gone on from as long as the connection lasts. When the client hangs up, the model
stops. The gate has let the connection in like any request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from msgspec import json as msgjson
from pydantic import Field, ValidationError

from webui.api.errors import ParameterError, ServerStopping, describe, status_of
from webui.api.openai.responses.requests import ResponseRequest
from webui.api.openai.responses.tools import check_json
from webui.api.openai.responses.turn import Memory, prepare
from webui.core.application import Application
from webui.errors import EngineBusy, GlasshouseError, InvalidRequest
from webui.types import PromptProgress, Queued

PATH = "/v1/responses"
MAX_LANES = 16
MAX_WAITING = 16  #: messages that wait, in all lanes together: each may have many megabytes
_RETRY_SECONDS = 5.0
_SERVICE_RESTART = 1012
_log = logging.getLogger(__name__)

router = APIRouter(tags=["OpenAI"])


class SocketRequest(ResponseRequest):
    """A response to be made over this connection."""

    type: Literal["response.create"]
    stream_id: Annotated[str, Field(max_length=200)] | None = None
    generate: bool | None = Field(None, description="False: only read the prompt, to go on from it later")

    def refuse_unsupported(self) -> None:
        super().refuse_unsupported()
        if self.background:
            raise ParameterError("background", "Over a WebSocket nothing is made in the background. Use HTTP for that.")


@router.websocket(PATH)
async def converse(websocket: WebSocket) -> None:
    await websocket.accept()
    connection = _Connection(websocket)
    listening = asyncio.create_task(connection.listen())
    stopping = asyncio.create_task(websocket.app.state.stopping.wait())
    try:
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await connection.tell_error(ServerStopping())
            await websocket.close(_SERVICE_RESTART)
    finally:
        tasks = [listening, stopping, *connection.lanes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    """One client."""

    def __init__(self, websocket: WebSocket) -> None:
        self.lanes: dict[str | None, asyncio.Task[None]] = {}
        self._waiting: dict[str | None, deque[dict[str, Any]]] = {}
        self._websocket = websocket
        self._application: Application = websocket.app.state.application
        self._owner: str = websocket.state.owner
        #: counts one request of the key that asks, where there is one
        self._admit: Callable[[], AbstractContextManager[None]] = getattr(websocket.state, "admit", nullcontext)
        self._memory = Memory()

    async def listen(self) -> None:
        """Until the client hangs up."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            stream_id: str | None = None
            try:
                sent = _read(message)
                given = sent.get("stream_id")
                stream_id = given if isinstance(given, str) else None
                await self._take(sent, stream_id)
            except GlasshouseError as error:
                await self.tell_error(error, stream_id)

    async def tell_error(self, error: GlasshouseError, stream_id: str | None = None) -> None:
        told = describe(error, PATH)["error"]
        await self._tell({"type": "error", "status": status_of(error), "error": told}, stream_id)

    async def _take(self, sent: dict[str, Any], stream_id: str | None) -> None:
        match sent.get("type"):
            case "response.create":
                self._queue_in_lane(sent, stream_id)
            case "response.steer":
                await self._refuse_steering(sent)
            case unknown:
                raise ParameterError("type", f"“{str(unknown)[:60]}” is not understood here. Send “response.create”.")

    def _queue_in_lane(self, sent: dict[str, Any], stream_id: str | None) -> None:
        """Raises EngineBusy."""
        is_new = stream_id not in self.lanes
        if (is_new and len(self.lanes) >= MAX_LANES) or sum(map(len, self._waiting.values())) >= MAX_WAITING:
            raise EngineBusy(_RETRY_SECONDS)
        self._waiting.setdefault(stream_id, deque()).append(sent)
        if is_new:
            self.lanes[stream_id] = asyncio.create_task(self._work(stream_id))

    async def _work(self, stream_id: str | None) -> None:
        """Answer what waits in this lane, one after the other."""
        waiting = self._waiting[stream_id]
        while waiting:
            try:
                body = _validate(waiting.popleft())
                with self._admit():
                    await self._answer(body, stream_id)
            except GlasshouseError as error:
                await self.tell_error(error, stream_id)
            except (OSError, WebSocketDisconnect):  # `listen` hears of it
                return
            except Exception:  # noqa: BLE001 - the edge of its task: the client is told, and the log has the rest
                _log.exception("A response over a WebSocket failed")
                await self.tell_error(GlasshouseError("Something went wrong inside Glasshouse."), stream_id)
        del self.lanes[stream_id], self._waiting[stream_id]

    async def _answer(self, body: SocketRequest, stream_id: str | None) -> None:
        is_silent = body.generate is False
        if is_silent:
            body = body.model_copy(update={"max_output_tokens": 1})
        turn = await prepare(body, self._owner, self._application, self._memory, is_silent=is_silent)
        async with aclosing(turn.tell_failures(turn.asking.ask(self._application, body.keep_alive))) as told:
            async for event in told:
                if not isinstance(event, Queued | PromptProgress):
                    await self._tell(event, stream_id)

    async def _refuse_steering(self, sent: dict[str, Any]) -> None:
        """In OpenAI's own words for that."""
        steer = {"previous_response_id": str(sent.get("previous_response_id", "")), "input": sent.get("input", "")}
        error = {
            "type": "invalid_request_error",
            "code": "steering_not_supported",
            "message": "A response that is being written takes no further input. Wait for its end.",
        }
        await self._tell({"type": "response.steer.failed", "sequence_number": 0, "steer": steer, "error": error}, None)

    async def _tell(self, event: dict[str, Any], stream_id: str | None) -> None:
        told = event if stream_id is None else event | {"stream_id": stream_id}
        await self._websocket.send_text(msgjson.encode(told).decode())


def _read(message: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidRequest for what is no JSON object."""
    try:
        sent = json.loads(message.get("text") or message.get("bytes") or "")
    except (ValueError, RecursionError):
        raise InvalidRequest("The message is not valid JSON.") from None
    if not isinstance(sent, dict):
        raise InvalidRequest("The message is not a JSON object with a “type”.")
    check_json(sent, "message")
    return sent


def _validate(sent: dict[str, Any]) -> SocketRequest:
    """Raises ParameterError for the first mistake."""
    try:
        return SocketRequest.model_validate(sent)
    except ValidationError as error:
        mistake = error.errors()[0]
        name = ".".join(str(part) for part in mistake["loc"]) or "body"
        raise ParameterError(name, f"{name}: {mistake['msg']}.") from None
