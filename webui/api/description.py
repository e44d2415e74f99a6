"""The API's description for programs, `/openapi.json`: what FastAPI reads from the routes, and what holds for them all.

Every route can be refused: at the door, for its body, for the model that it names. These answers, in the shape of the
dialect that is spoken at its path, are described here once and not at each route; `answer_schemas` knows the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from webui.api.answer_schemas import ANSWERS, STREAMS
from webui.api.error_bodies import Dialect, dialect_of

_REASONS = {
    400: "Something in the request cannot be used as it is; the message says what.",
    401: "A key or a sign-in is needed, or the one that was sent is not right.",
    403: "A page elsewhere asked, the key is not for this, or the hub keeps a file from us.",
    404: "What the request names is not here.",
    409: "Something else is under way that this would disturb, or it is there already.",
    413: "The body is too long.",
    421: "The Host header is none of this server's names.",
    422: "The model's file cannot be used.",
    429: "Too much at once; `Retry-After` says when to ask again.",
    500: "Something went wrong inside; the server's log says what.",
    502: "The hub, or what it sent, is not as it should be.",
    503: "The model or the hub cannot answer now; ask again later.",
    507: "There is not enough memory or room on the disk.",
}
_AT_THE_DOOR = (401, 403, 421, 429, 500)
_FOR_WHAT_IT_SENDS = (400, 413)
_FOR_WHAT_IT_NAMES = (404, 409, 422, 502, 503, 507)

_TEXT = {"type": "string"}
_REQUEST_ID = {"type": "string", "description": "Of the header `x-request-id`; the log has it, too"}
_SHAPES: dict[Dialect, dict[str, Any]] = {
    "openai": {
        "message": _TEXT,
        "type": _TEXT,
        "param": {"type": ["string", "null"]},
        "code": _TEXT,
        "details": {"type": "object", "description": "The numbers and names that the message holds"},
        "request_id": _REQUEST_ID,
    },
    "anthropic": {"type": _TEXT, "message": _TEXT},
    "llama.cpp": {
        "code": {"type": "integer", "description": "The HTTP status"},
        "message": _TEXT,
        "type": _TEXT,
        "reason": {"type": "string", "description": "A word for programs"},
        "param": _TEXT,
        "n_prompt_tokens": {"type": "integer"},
        "n_ctx": {"type": "integer"},
        "request_id": _REQUEST_ID,
    },
}
_OPTIONAL = {"details", "param", "n_prompt_tokens", "n_ctx", "request_id"}
_NAMES: dict[Dialect, str] = {
    "openai": "Error",
    "anthropic": "AnthropicError",
    "ollama": "OllamaError",
    "llama.cpp": "LlamaCppError",
}
_TWO_DIALECTS = "ErrorOrAnthropicError"  # where a header tells which one
_VALIDATION_ERRORS = ("HTTPValidationError", "ValidationError")  # FastAPI's own, which nobody gets here


def describe_refusals(app: FastAPI) -> None:
    """Let the app's description tell of them, too."""
    describe_routes = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            _add_refusals(describe_routes())
        assert app.openapi_schema is not None  # noqa: S101 - FastAPI keeps what it wrote
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's documented way


def _add_refusals(description: dict[str, Any]) -> None:
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _VALIDATION_ERRORS:
        schemas.pop(name, None)
    schemas |= {_NAMES[dialect]: _schema_of(dialect) for dialect in _NAMES}
    both = [{"$ref": f"#/components/schemas/{_NAMES[dialect]}"} for dialect in ("openai", "anthropic")]
    schemas[_TWO_DIALECTS] = {"anyOf": both}
    components["responses"] = {
        f"{name}{status}": _response(name, status) for name in (*_NAMES.values(), _TWO_DIALECTS) for status in _REASONS
    }
    for path, operations in description["paths"].items():
        name = _TWO_DIALECTS if path.startswith("/v1/models") else _NAMES[dialect_of(path)]
        for method, operation in operations.items():
            _describe_answer(path, operation, schemas)
            responses = operation["responses"]
            responses.pop("422", None)
            for status in _refusals(method, path, operation):
                responses.setdefault(str(status), {"$ref": f"#/components/responses/{name}{status}"})


def _describe_answer(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The shape of what the dialects write as they go, and that it may come as a stream instead."""
    answer = operation["responses"].get("200", {})
    if path in ANSWERS:
        answer.setdefault("content", {})["application/json"] = {"schema": ANSWERS[path]}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    asked = schemas.get(body.get("$ref", "").rpartition("/")[2], {})
    if "stream" in asked.get("properties", {}) and not path.endswith("_tokens"):  # counting them streams nothing
        media_type, description = STREAMS["ollama" if dialect_of(path) == "ollama" else "openai"]
        answer.setdefault("content", {})[media_type] = {"schema": {"description": description}}


def _refusals(method: str, path: str, operation: dict[str, Any]) -> Iterator[int]:
    """The statuses that a route can be refused with."""
    yield from _AT_THE_DOOR
    if "requestBody" in operation or operation.get("parameters"):
        yield from _FOR_WHAT_IT_SENDS
    if method not in {"get", "head"} or "{" in path or operation.get("parameters"):
        yield from _FOR_WHAT_IT_NAMES


def _response(name: str, status: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    response: dict[str, Any] = {"description": _REASONS[status], "content": {"application/json": {"schema": schema}}}
    if status == 429:
        response["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}
    return response


def _schema_of(dialect: Dialect) -> dict[str, Any]:
    match dialect:
        case "ollama":
            return _object({"error": _TEXT})
        case "anthropic":
            return _object({"type": {"const": "error"}, "error": _object(_SHAPES[dialect]), "request_id": _REQUEST_ID})
        case "openai":
            return _object({"error": _object(_SHAPES[dialect], "param")})
        case "llama.cpp":
            return _object({"error": _object(_SHAPES[dialect])})


def _object(properties: dict[str, Any], *always: str) -> dict[str, Any]:
    """Nothing else is in it; `always`: what is there, null or not, though elsewhere it may be left out."""
    required = [name for name in properties if name not in _OPTIONAL or name in always]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
