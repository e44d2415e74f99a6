"""The shape that an error has in each dialect, and which dialect a route speaks.

Every dialect's own clients raise their own exceptions for ours. It does not know which error has which status code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dialect = Literal["openai", "ollama", "anthropic"]

_OWN_API_PATHS = ("/api/session", "/api/uploads", "/api/conversations", "/api/v0/")  # under Ollama's prefix, not its
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_OPENAI_CODES = {
    "unknown_model": "model_not_found",
    "context_too_long": "context_length_exceeded",
    "input_too_long": "context_length_exceeded",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is told of an error: a sentence for people, a word for programs, and the numbers in the sentence."""

    message: str
    status: int
    code: str
    param: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def dialect_of(path: str) -> Dialect:
    if path.startswith("/api/") and not path.startswith(_OWN_API_PATHS):
        return "ollama"
    return "anthropic" if path == "/v1/messages" or path.startswith("/v1/messages/") else "openai"


def error_body(refusal: Refusal, path: str) -> dict[str, Any]:
    """The error in the words of the dialect that this path speaks."""
    match dialect_of(path):
        case "ollama":
            return {"error": refusal.message}
        case "anthropic":
            return _anthropic_body(refusal)
        case "openai":
            return _openai_body(refusal, _OPENAI_CODES if path.startswith("/v1/") else {})


def _openai_body(refusal: Refusal, codes: Mapping[str, str]) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code", "details"}}`; under `/v1`, two codes carry OpenAI's names for the
    same thing."""
    status = refusal.status
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    body: dict[str, Any] = {
        "message": refusal.message,
        "type": kind,
        "param": refusal.param,
        "code": codes.get(refusal.code, refusal.code),
    }
    return {"error": body | ({"details": dict(refusal.details)} if refusal.details else {})}


def _anthropic_body(refusal: Refusal) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message"}}`. Programs look for Anthropic's own sentence to know a prompt
    that is too long, and make room then."""
    message = refusal.message
    if refusal.code == "context_too_long":
        details = refusal.details
        numbers = f"{details['prompt_tokens']} tokens > {details['context_tokens']} maximum"
        message = f"prompt is too long: {numbers}. {message}"
    kind = _ANTHROPIC_TYPES.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}
