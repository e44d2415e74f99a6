"""What the bodies of a request and of its answer tell by themselves, whatever the dialect: for requests that no answer
of a model belongs to, such as refusals and embeddings. Pure; hostile bodies tell nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_READ = ("prompt_tokens", "input_tokens", "prompt_eval_count", "total_tokens")
_WRITTEN = ("completion_tokens", "output_tokens", "eval_count")


@dataclass(frozen=True, slots=True)
class BodyFacts:
    model: str = ""  #: that was asked for
    error: str = ""  #: the sentence of a refusal
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def read_facts(request: bytes, response: bytes) -> BodyFacts:
    asked, told = _read_object(request), _read_object(response)
    usage = told.get("usage")
    counts = usage if isinstance(usage, dict) else told
    return BodyFacts(
        model=_text(asked.get("model")),
        error=_read_error(told.get("error")),
        prompt_tokens=_first_count(counts, _READ),
        completion_tokens=_first_count(counts, _WRITTEN),
    )


def _read_error(error: Any) -> str:
    return _text(error.get("message") if isinstance(error, dict) else error)


def _first_count(counts: dict[str, Any], names: tuple[str, ...]) -> int | None:
    found = (counts[name] for name in names if type(counts.get(name)) is int)
    return next(found, None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _read_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
