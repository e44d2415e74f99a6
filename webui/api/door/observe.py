"""Measures every request of a program from outside: the record that figures, log lines and traces are made of.

It stands around the gate, so that refusals count too. What a page loads and its socket are not looked at. It knows when
a request came, which route took it and how it ended; what models did for it is written into the same record by
`core.telemetry`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.door.route_names import RouteNames
from webui.api.errors import CLIENT_CLOSED_REQUEST
from webui.core.request_id import current_request_id, name_request
from webui.core.telemetry.request_record import RequestRecord, current_request
from webui.core.telemetry.telemetry import Telemetry

_OF_PAGES = ("/static/", "/_nicegui")
_SWITCHED = 101
_REFUSED = 403
_MOST_TRACE_BYTES = 512  # as W3C has it for both headers


class Observe:
    """ASGI middleware. `telemetry` is asked for late, as the gate asks for its keys."""

    def __init__(self, app: ASGIApp, telemetry: Callable[[], Telemetry], routes: RouteNames) -> None:
        self._app = app
        self._telemetry = telemetry
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"].startswith(_OF_PAGES):
            await self._app(scope, receive, send)
            return
        telemetry = self._telemetry()
        state = scope.setdefault("state", {})
        record = self._begin(scope)
        token = current_request.set(record)
        telemetry.request_started(record)
        try:
            await self._app(scope, receive, partial(_send, record, state, send))
        except Exception:
            record.status, record.error = 500, record.error or "internal_error"  # the outermost layer answers with it
            raise
        finally:
            record.status = record.status or CLIENT_CLOSED_REQUEST  # nobody was left to answer
            _note_who(record, state)
            current_request.reset(token)
            telemetry.request_ended(record)

    def _begin(self, scope: Scope) -> RequestRecord:
        headers = Headers(scope=scope)
        return RequestRecord(
            id=current_request_id() or name_request(),
            method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
            find_route=partial(self._routes.find, scope),
            traceparent=headers.get("traceparent", "")[:_MOST_TRACE_BYTES],
            tracestate=headers.get("tracestate", "")[:_MOST_TRACE_BYTES],
        )


async def _send(record: RequestRecord, state: dict[str, object], send: Send, message: Message) -> None:
    match message["type"]:
        case "http.response.start":
            record.status = message["status"]
            _note_who(record, state)
            if record.cache is not None:
                MutableHeaders(scope=message)["X-Glasshouse-Cache"] = record.cache
        case "websocket.accept":
            record.status = _SWITCHED
        case "websocket.close" if not record.status:
            record.status = _REFUSED
    await send(message)


def _note_who(record: RequestRecord, state: dict[str, object]) -> None:
    """What the gate and the error handlers have left in the request's state."""
    record.owner = str(state.get("owner", ""))
    record.error = record.error or str(state.get("error_code", ""))
