"""The shape that an error has in each dialect, and which dialect a route speaks.

Every dialect's own clients raise their own exceptions for ours. It does not know which error has which status code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from webui.core.request_id import current_request_id

Dialect = Literal["openai", "ollama", "anthropic", "llama.cpp"]

_LLAMA_CPP_PATHS = frozenset(
    {
        "/completion", "/tokenize", "/detokenize", "/apply-template", "/props", "/infill", "/slots", "/lora-adapters",
        "/models/load", "/models/unload",
    }
)  # fmt: skip
# Under Ollama's prefix, not its.
_OWN_API_PATHS = ("/api/session", "/api/uploads", "/api/conversations", "/api/v0/", "/api/v1/")
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
    507: "overloaded_error",
}
_LLAMA_CPP_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "unavailable_error",
    503: "unavailable_error",
}
_TOO_LONG = ("context_too_long", "input_too_long")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is told of an error: a sentence for people, a word for programs, and the numbers in the sentence."""

    message: str
    status: int
    code: str
    param: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def dialect_of(path: str, headers: Mapping[str, str] | None = None) -> Dialect:
    """What is spoken at a path. The list of models is there for two dialects: Anthropic's programs send a header."""
    if path.startswith("/api/") and not path.startswith(_OWN_API_PATHS):
        return "ollama"
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if headers is not None and "anthropic-version" in headers and (path + "/").startswith("/v1/models/"):
        return "anthropic"
    return "llama.cpp" if path in _LLAMA_CPP_PATHS else "openai"


def error_body(refusal: Refusal, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The error in the words of the dialect that is spoken at this path."""
    match dialect_of(path, headers):
        case "ollama":
            return {"error": refusal.message}
        case "anthropic":
            return _anthropic_body(refusal)
        case "llama.cpp":
            return _llama_cpp_body(refusal)
        case "openai":
            return _openai_body(refusal, is_openai=path.startswith("/v1/"))


def _openai_body(refusal: Refusal, *, is_openai: bool) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code", "details", "request_id"}}`; under `/v1`, some codes carry
    OpenAI's names for the same thing. Programs look for OpenAI's own sentences, too, to know a prompt that is too long.
    """
    status, message, code = refusal.status, refusal.message, refusal.code
    if is_openai and code in _TOO_LONG:
        numbers = refusal.details
        message = (
            "Input tokens exceed the configured limit. This model's maximum context length is "
            f"{numbers['context_tokens']} tokens. However, your messages resulted in {numbers['prompt_tokens']} "
            f"tokens. {message}"
        )
    body: dict[str, Any] = {
        "message": message,
        "type": _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": refusal.param,
        "code": _OPENAI_CODES.get(code, code) if is_openai else code,
    }
    return {"error": body | ({"details": dict(refusal.details)} if refusal.details else {}) | _request()}


def _anthropic_body(refusal: Refusal) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`. Programs look for Anthropic's own sentence to
    know a prompt that is too long, and make room then."""
    message = refusal.message
    if refusal.code in _TOO_LONG:
        details = refusal.details
        numbers = f"{details['prompt_tokens']} tokens > {details['context_tokens']} maximum"
        message = f"prompt is too long: {numbers}. {message}"
    kind = _ANTHROPIC_TYPES.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}} | _request()


def _llama_cpp_body(refusal: Refusal) -> dict[str, Any]:
    """`{"error": {"code", "message", "type"}}`, where the code is the status; ours stands in `reason`. What is too long
    has a type and a sentence of llama.cpp's, and the numbers."""
    status = refusal.status
    kind = _LLAMA_CPP_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    body: dict[str, Any] = {"code": status, "message": refusal.message, "type": kind, "reason": refusal.code}
    if refusal.param is not None:
        body["param"] = refusal.param
    if refusal.code in _TOO_LONG:
        prompt, context = refusal.details["prompt_tokens"], refusal.details["context_tokens"]
        theirs = f"request ({prompt} tokens) exceeds the available context size ({context} tokens)"
        body |= {"type": "exceed_context_size_error", "message": f"{theirs}. {refusal.message}"}
        body |= {"n_prompt_tokens": prompt, "n_ctx": context}
    return {"error": body | _request()}


def _request() -> dict[str, str]:
    """By which the log can be searched; Ollama's errors have no room for it, and every answer has it as a header."""
    request_id = current_request_id()
    return {"request_id": request_id} if request_id else {}
