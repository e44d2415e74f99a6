"""What was stored of responses: read, listed, ended and deleted by whoever made them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from webui.api.dependencies import App, Owner, get_stopping
from webui.api.errors import ParameterError, ServerStopping
from webui.api.sse import EventStream
from webui.core.application import Application
from webui.store.responses import Item, StoredResponse

_MAX_ITEMS = 100
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "The `response`, or its events"}
}

router = APIRouter(prefix="/v1/responses", tags=["OpenAI"])


@router.get("/{response_id}", summary="One response", response_class=JSONResponse, responses=_RESPONSES)
async def get_response(
    response_id: str,
    request: Request,
    application: App,
    owner: Owner,
    *,
    stream: Annotated[bool, Query(description="The events of one in the background, also those to come")] = False,
    starting_after: Annotated[int | None, Query(ge=0, description="Only events with a larger number")] = None,
) -> Response:
    """As it is by now: one in the background grows."""
    if stream:
        return await _stream(response_id, request, application, owner, starting_after)
    if starting_after is not None:
        raise ParameterError("starting_after", "“starting_after” needs “stream”: true.")
    return JSONResponse(await _tell(response_id, application, owner))


@router.delete("/{response_id}", summary="Delete a response")
async def delete_response(response_id: str, application: App, owner: Owner) -> dict[str, Any]:
    """It is gone for good, and so are conversations that went on from it: they cannot be gone on with any more."""
    await application.responses.delete(response_id, owner)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel", summary="End a response in the background")
async def cancel_response(response_id: str, application: App, owner: Owner) -> dict[str, Any]:
    """What was written so far stays. One that has ended stays as it is."""
    running = application.responses.find(response_id, owner)
    if running is not None:
        await running.cancel()
    stored = await application.responses.store.get(response_id, owner)
    if not stored.body.get("background"):
        raise ParameterError("response_id", "Only responses in the background are cancelled; hang up to end others.")
    return _told(stored)


@router.get("/{response_id}/input_items", summary="What a response answered")
async def list_input_items(
    response_id: str,
    application: App,
    owner: Owner,
    *,
    after: Annotated[str | None, Query(description="Go on behind this item")] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_ITEMS)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """The items of its own request, without those of earlier responses."""
    items = await application.responses.store.input_items(response_id, owner)
    if order == "desc":
        items.reverse()
    page = _behind(items, after)[: limit + 1]
    data = page[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(page) > limit,
    }


async def _stream(
    response_id: str, request: Request, application: Application, owner: str, starting_after: int | None
) -> Response:
    log = application.responses.find_log(response_id, owner)
    if log is None:
        await application.responses.store.get(response_id, owner)  # UnknownResponse comes before what follows
        raise ParameterError(
            "stream", "The events of this response are not kept (any more). Read it whole, without “stream”."
        )
    start = 0 if starting_after is None else starting_after + 1
    return EventStream(log.read(start), get_stopping(request), farewell=b"")


async def _tell(response_id: str, application: Application, owner: str) -> dict[str, Any]:
    running = application.responses.find(response_id, owner)
    return _told(await application.responses.store.get(response_id, owner)) if running is None else running.told()


def _told(stored: StoredResponse) -> dict[str, Any]:
    """The object. One whose server was killed has no words of its own for that."""
    told = stored.body | {"status": stored.status, "output": list(stored.output)}
    if stored.status == "failed" and not told.get("error"):
        told["error"] = {"code": "server_error", "message": ServerStopping().message}
    return told


def _behind(items: list[Item], after: str | None) -> list[Item]:
    if after is None:
        return items
    for number, item in enumerate(items):
        if item["id"] == after:
            return items[number + 1 :]
    raise ParameterError("after", f"No item with id '{after[:100]}' belongs to this response.")
