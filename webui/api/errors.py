"""Exceptions to HTTP: the only place that knows status codes.

Every error of every route has the body of the dialect that the route speaks, OpenAI's where it is our own:
`error_bodies` tells how these look.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from webui import errors
from webui.api.error_bodies import Refusal, error_body

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499  # nginx's number for it; nobody is left to read it


class ForeignHost(errors.ForbiddenOrigin):
    """The Host header is not one of ours."""


_STATUS: dict[type[errors.GlasshouseError], int] = {
    errors.InvalidRequest: 400,
    errors.MessageTooLarge: 413,
    errors.FileTooLarge: 413,
    errors.UnknownModel: 404,
    errors.UnknownPreset: 404,
    errors.UnknownClient: 404,
    errors.ModelFileError: 422,
    errors.ModelLoadError: 503,
    errors.LoadOvertaken: 409,
    errors.ModelTooBig: 507,
    errors.OutOfMemory: 507,
    errors.DoctorError: 409,
    errors.NoDoctorReport: 404,
    errors.EngineError: 503,
    errors.EngineBusy: 429,
    errors.TransferError: 400,
    errors.DiskFull: 507,
    errors.FileExists: 409,
    errors.ImportUnderWay: 409,
    errors.ImportTakenOver: 409,
    errors.UnknownUpload: 404,
    errors.OffsetMismatch: 409,
    errors.DigestMismatch: 409,
    errors.UploadTooLong: 413,
    errors.WriteFailed: 500,
    errors.UnknownDownload: 404,
    errors.AlreadyHere: 409,
    errors.DownloadDamaged: 502,
    errors.DownloadStopped: 500,
    errors.UnknownBlob: 404,
    errors.HubError: 502,
    errors.InvalidReference: 400,
    errors.HubOffline: 503,
    errors.HubDenied: 403,
    errors.HubNotFound: 404,
    errors.HubBusy: 503,
    errors.WorkError: 400,
    errors.UnknownJob: 404,
    errors.WorkFailed: 500,
    errors.StoreError: 404,
    errors.AlreadyAnswering: 409,
    errors.StoreFailed: 500,
    errors.ResponseUnfinished: 409,
    errors.FileInUse: 409,
    errors.BatchOver: 409,
    errors.AccessError: 401,
    errors.WeakPassphrase: 400,
    errors.TooManyAttempts: 429,
    errors.UnknownKey: 404,
    errors.MissingScope: 403,
    errors.RateLimited: 429,
    errors.ForbiddenOrigin: 403,
    ForeignHost: 421,
    errors.GlasshouseError: 500,
}
_BAD_JSON = "The request body is not valid JSON in UTF-8."
_NO_BODY = "The request has no body. Send a JSON object."
_NO_OBJECT = "The request body is no JSON object. Send one, with “Content-Type: application/json”."
_UNEXPECTED = "Something went wrong inside Glasshouse. The server's log says what; the request can be tried again."


class ParameterError(errors.InvalidRequest):
    """A parameter that cannot be used as given; `param` names it as OpenAI does."""

    code = "invalid_parameter"

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(reason, param=param, reason=reason)


class UnsupportedParameter(ParameterError):
    """A parameter that would change the answer and that Glasshouse does not know yet: said, never ignored."""

    code = "unsupported_parameter"


class ServerStopping(errors.EngineError):
    code = "server_stopping"

    def __init__(self) -> None:
        super().__init__("Glasshouse was stopped while it was answering. Ask again when it is back.")
        self.details = {}


class ClientGone(Exception):
    """The client hung up before its answer was complete."""


def status_of(error: errors.GlasshouseError) -> int:
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def describe(error: errors.GlasshouseError, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body for one of our own errors, in the words of the dialect that is spoken at this path."""
    param = error.details.get("param")
    refusal = Refusal(
        error.message,
        status=status_of(error),
        code=error.code,
        param=str(param) if param is not None else "model" if isinstance(error, errors.UnknownModel) else None,
        details={name: value for name, value in error.details.items() if name not in {"param", "reason", "message"}},
    )
    return error_body(refusal, path, headers)


def describe_mistakes(mistakes: Sequence[Any]) -> Refusal:
    """What pydantic found wrong with a body; the places begin with where the body is."""
    names = [".".join(str(part) for part in mistake["loc"][1:]) or "body" for mistake in mistakes]
    sentences = [f"{name}: {mistake['msg']}" for name, mistake in zip(names, mistakes, strict=True)]
    text = "; ".join(dict.fromkeys(sentences)) + "."
    return Refusal(text, status=400, code="invalid_request", param=names[0])


class _ErrorResponse(JSONResponse):
    """A refusal may repeat what was sent, and JSON can hold half a character, which is no text: it becomes “?”. The
    code is left in the request's state for those who count and log."""

    def __init__(self, code: str, body: dict[str, Any], status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["error_code"] = self._code
        await super().__call__(scope, receive, send)

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def error_response(
    error: errors.GlasshouseError, path: str, asked_with: Mapping[str, str] | None = None
) -> JSONResponse:
    """`asked_with`: the headers of the request."""
    headers = {}
    match error:
        case errors.TooManyAttempts() | errors.EngineBusy() | errors.HubBusy() | errors.RateLimited():
            headers["Retry-After"] = str(max(1, math.ceil(float(error.details["retry_after"] or 0))))
        case errors.OffsetMismatch() | errors.DigestMismatch():
            headers["Upload-Offset"] = str(error.details["expected"])
        case errors.SignInRequired() | errors.WrongPassphrase() | errors.InvalidKey():
            headers["WWW-Authenticate"] = 'Bearer realm="Glasshouse"'
    return _ErrorResponse(error.code, describe(error, path, asked_with), status_of(error), headers)


def add_error_handlers(app: FastAPI) -> None:
    app.exception_handler(errors.GlasshouseError)(_on_glasshouse_error)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    app.exception_handler(HTTPException)(_on_http_error)
    app.exception_handler(ClientGone)(_on_client_gone)
    app.exception_handler(ClientDisconnect)(_on_client_gone)


async def _on_glasshouse_error(request: Request, error: errors.GlasshouseError) -> Response:
    if status_of(error) >= 500:
        logger.warning("%s %s: %s", request.method, request.url.path, error.message)
    return error_response(error, request.url.path, request.headers)


async def _on_validation_error(request: Request, error: RequestValidationError) -> Response:
    """One sentence per mistake: `temperature: Input should be less than or equal to 2`."""
    mistakes = error.errors()
    if mistakes[0]["type"] == "json_invalid":
        return _refuse(request, Refusal(_BAD_JSON, status=400, code="invalid_json"))
    if mistakes[0]["loc"] == ("body",) and mistakes[0]["type"] in {"missing", "model_attributes_type"}:
        text = _NO_BODY if mistakes[0]["type"] == "missing" else _NO_OBJECT
        return _refuse(request, Refusal(text, status=400, code="invalid_request", param="body"))
    return _refuse(request, describe_mistakes(mistakes))


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 400:  # FastAPI's own: what it could not read as JSON for another reason than its form
        return _refuse(request, Refusal(_BAD_JSON, status=400, code="invalid_json"))
    text = {
        404: f"There is nothing at {request.url.path}. The API is described at /docs.",
        405: f"{request.url.path} does not take {request.method}. The API is described at /docs.",
    }.get(error.status_code, str(error.detail))
    code = errors.MessageTooLarge.code if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return _refuse(request, Refusal(text, status=error.status_code, code=code), error.headers)


async def _on_client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def unexpected_response(path: str, asked_with: Mapping[str, str]) -> Response:
    """For what nobody has foreseen; the outermost layer (`door.request_ids`) logs and answers it."""
    refusal = Refusal(_UNEXPECTED, status=500, code="internal_error")
    return _ErrorResponse(refusal.code, error_body(refusal, path, asked_with), refusal.status)


def _refuse(request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    body = error_body(refusal, request.url.path, request.headers)
    return _ErrorResponse(refusal.code, body, refusal.status, headers)
