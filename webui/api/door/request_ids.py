"""Every request has an id: the client's own, where it is fit for that, else a new one. Answers carry it, errors repeat
it, log lines begin with it.

It stands outside of everything else, and is the last to answer: what nobody has foreseen is logged here and answered
with a sentence and the id by which the log can be searched.
"""

from __future__ import annotations

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.api.error_bodies import dialect_of
from webui.api.errors import unexpected_response
from webui.core.request_id import in_request, name_request

HEADER = "X-Request-ID"

_log = logging.getLogger(__name__)


class RequestIds:
    """ASGI middleware. Routes find the id in `scope["state"]["request_id"]`, all other code in `core.request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = name_request(headers.get(HEADER))
        names = (HEADER, "Request-ID") if dialect_of(scope["path"], headers) == "anthropic" else (HEADER,)
        scope.setdefault("state", {})["request_id"] = request_id
        has_begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_begun
            if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
                has_begun = True
                message.setdefault("headers", [])  # a websocket that is accepted may have none
                answer_headers = MutableHeaders(scope=message)
                for name in names:
                    answer_headers[name] = request_id
            await send(message)

        with in_request(request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                if has_begun or scope["type"] == "websocket":
                    raise  # the server cuts the connection, and logs it
                _log.exception("A request failed")
                await unexpected_response(scope["path"], headers)(scope, receive, send_with_id)
