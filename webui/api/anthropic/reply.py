"""Generation events in Anthropic's words: content blocks, one behind the other, as a message or as its stream events.

It does not read or write a connection.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from webui.types import Finished, GenerationEvent, ReasoningDelta, TextDelta, ToolCallDelta, Usage

StreamEvent = dict[str, Any]


class Reply:
    """One message while it is written."""

    def __init__(self, model: str, max_tokens: int, *, tells_thoughts: bool = True) -> None:
        """`tells_thoughts`: False leaves the blocks of thoughts empty."""
        self._tells_thoughts = tells_thoughts
        self._id = f"msg_{uuid.uuid4().hex}"
        self._model = model
        self._max_tokens = max_tokens
        self._blocks: list[dict[str, Any]] = []
        self._arguments = ""  # of the call that is open
        self._open = ""  # type of the open block, with a call's index
        self._finished: Finished | None = None

    def start(self, prompt_tokens: int) -> StreamEvent:
        """The first event; how much of the prompt was cached is told by the last but one."""
        usage = {"input_tokens": prompt_tokens, "output_tokens": 0}
        return {"type": "message_start", "message": self._message([], usage)}

    def take(self, event: GenerationEvent) -> Iterator[StreamEvent]:
        """The stream events of one of ours: none for what Anthropic has no word for."""
        match event:
            case TextDelta(text=text):
                yield from self._begin("text", {"type": "text", "text": ""})
                self._blocks[-1]["text"] += text
                yield self._delta({"type": "text_delta", "text": text})
            case ReasoningDelta(text=text):
                yield from self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                if self._tells_thoughts:
                    self._blocks[-1]["thinking"] += text
                    yield self._delta({"type": "thinking_delta", "thinking": text})
            case ToolCallDelta(index=index, arguments=arguments):
                block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                yield from self._begin(f"tool_use {index}", block)
                self._arguments += arguments
                yield self._delta({"type": "input_json_delta", "partial_json": arguments})
            case Finished():
                self._finished = event
                yield from self._end_block()
                yield {"type": "message_delta", "delta": self._end(event), "usage": usage_object(event.usage)}
                yield {"type": "message_stop"}
            case _:
                pass

    def whole(self) -> dict[str, Any]:
        """The message, once all events were taken."""
        if self._finished is None:
            raise RuntimeError("the engine's events ended without Finished")
        return self._message(self._blocks, usage_object(self._finished.usage)) | self._end(self._finished)

    def _message(self, content: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }

    def _begin(self, name: str, block: dict[str, Any]) -> Iterator[StreamEvent]:
        if self._open == name:
            return
        yield from self._end_block()
        self._open = name
        self._blocks.append(block)
        yield {"type": "content_block_start", "index": len(self._blocks) - 1, "content_block": dict(block)}

    def _end_block(self) -> Iterator[StreamEvent]:
        if not self._open:
            return
        block = self._blocks[-1]
        if block["type"] == "tool_use":
            block["input"], self._arguments = _read_object(self._arguments), ""
        if block["type"] == "thinking":  # programs want one, and send it back; nobody checks it here
            yield self._delta({"type": "signature_delta", "signature": ""})
        yield {"type": "content_block_stop", "index": len(self._blocks) - 1}
        self._open = ""

    def _delta(self, delta: dict[str, str]) -> StreamEvent:
        return {"type": "content_block_delta", "index": len(self._blocks) - 1, "delta": delta}

    def _end(self, finished: Finished) -> dict[str, Any]:
        end: dict[str, Any] = {
            "stop_reason": self._stop_reason(finished),
            "stop_sequence": finished.stop_text or None,
        }
        return end | ({"notes": list(finished.notes)} if finished.notes else {})

    def _stop_reason(self, finished: Finished) -> str:
        if finished.reason == "tool_calls":
            return "tool_use"
        if finished.reason == "length":
            is_short = finished.usage.completion_tokens < self._max_tokens
            return "model_context_window_exceeded" if is_short else "max_tokens"
        return "stop_sequence" if finished.stop_text else "end_turn"


def usage_object(usage: Usage) -> dict[str, Any]:
    """Anthropic counts what was cached apart."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:  # cut off at max_tokens, say
        return {}
    return value if isinstance(value, dict) else {}
