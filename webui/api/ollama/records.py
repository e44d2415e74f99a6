"""Generation events in Ollama's words: the lines of a streamed answer, or the one object of a whole one."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

from webui.api.answers import Asking
from webui.api.gathered import Gathered
from webui.api.ollama.names import time_text
from webui.api.openai.reply import logprobs_object
from webui.types import ToolCall

_NANOSECONDS = 1_000_000_000


class Shape(Protocol):
    """How a record says what the model wrote."""

    def __call__(self, text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]: ...


def chat_shape(text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    objects = [(call, arguments) for call in calls if (arguments := _read_arguments(call)) is not None]
    if objects:
        message["tool_calls"] = [
            {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}
            for index, (call, arguments) in enumerate(objects)
        ]
    return {"message": message}


def generate_shape(text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]:
    return {"response": text} | ({"thinking": thinking} if thinking else {})


class Records:
    """The records of one answer; `model` is called as the request called it."""

    def __init__(self, model: str, shape: Shape) -> None:
        self._model = model
        self._shape = shape

    def piece(self, gathered: Gathered, text: str = "", thinking: str = "") -> dict[str, Any]:
        record = self._record(text, thinking, []) | {"done": False}
        return record | _logprobs(gathered)

    def calls(self, calls: list[ToolCall]) -> dict[str, Any]:
        """Ollama tells calls when they are whole."""
        return self._record("", "", calls) | {"done": False}

    def last(self, gathered: Gathered, asking: Asking, *, is_whole: bool = False) -> dict[str, Any]:
        """The record with the figures; of an answer that is not streamed it has the answer, too."""
        said = (gathered.text, gathered.reasoning, gathered.calls) if is_whole else ("", "", [])
        end, now = gathered.end, time.monotonic()
        timings = end.timings
        record = self._record(*said) | {
            "done": True,
            "done_reason": "length" if end.reason == "length" else "stop",
            "total_duration": _nanoseconds(now - asking.asked_at),
            "load_duration": _nanoseconds(asking.loaded_at - asking.asked_at),
            "prompt_eval_count": end.usage.prompt_tokens,
            "prompt_eval_duration": _nanoseconds(timings.first_token_seconds - timings.queued_seconds),
            "eval_count": end.usage.completion_tokens,
            "eval_duration": _nanoseconds(timings.total_seconds - timings.first_token_seconds),
        }
        return record | _told(gathered) | _logprobs(gathered)

    def nothing_said(self, reason: str) -> dict[str, Any]:
        """`reason`: "load" or "unload"."""
        return self._record("", "", []) | {"done": True, "done_reason": reason}

    def _record(self, text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]:
        return {"model": self._model, "created_at": time_text()} | self._shape(text, thinking, calls)


def _logprobs(gathered: Gathered) -> dict[str, Any]:
    """Those since the last record."""
    found = logprobs_object(gathered.take_logprobs())
    return {"logprobs": found["content"]} if found is not None else {}


def _read_arguments(call: ToolCall) -> dict[str, Any] | None:
    """Ollama sends an object where others send its text; None where the text was cut off before it was one."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return None
    return arguments if isinstance(arguments, dict) else None


def _told(gathered: Gathered) -> dict[str, Any]:
    """A call that cannot be told is never left out in silence."""
    cut = [call.name for call in gathered.calls if _read_arguments(call) is None]
    if not cut:
        return gathered.told
    notes = [f"The call of {name} was cut off before its arguments were whole, and is left out." for name in cut]
    return gathered.told | {"notes": [*gathered.told.get("notes", []), *notes]}


def _nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * _NANOSECONDS))
