"""What one answer has said so far, put together from its events. It knows no dialect."""

from __future__ import annotations

from typing import Any

from webui.types import (
    ContextTrimmed,
    Finished,
    GenerationEvent,
    ReasoningDelta,
    TextDelta,
    TokenLogprobs,
    ToolCall,
    ToolCallDelta,
)


class Gathered:
    """What an answer has said so far."""

    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[ToolCall] = []
        self.logprobs: list[TokenLogprobs] = []
        self.trimmed: ContextTrimmed | None = None
        self._finished: Finished | None = None

    @property
    def end(self) -> Finished:
        if self._finished is None:
            raise RuntimeError("the engine's events ended without Finished")
        return self._finished

    def take(self, event: GenerationEvent) -> None:
        match event:
            case TextDelta(text=text):
                self.text += text
            case ReasoningDelta(text=text):
                self.reasoning += text
            case ToolCallDelta(index=index) if index == len(self.calls):
                self.calls.append(ToolCall(id=event.id, name=event.name, arguments=event.arguments))
            case ToolCallDelta(index=index):
                known = self.calls[index]
                self.calls[index] = ToolCall(id=known.id, name=known.name, arguments=known.arguments + event.arguments)
            case TokenLogprobs():
                self.logprobs.append(event)
            case ContextTrimmed():
                before = self.trimmed or ContextTrimmed()
                self.trimmed = ContextTrimmed(
                    num_messages=before.num_messages + event.num_messages,
                    num_tokens=before.num_tokens + event.num_tokens,
                )
            case Finished():
                self._finished = event

    @property
    def told(self) -> dict[str, Any]:
        """What was left out of the conversation, where the request allowed that, and what was mended in tool calls:
        never in silence."""
        told: dict[str, Any] = {}
        if self.trimmed is not None:
            told["trimmed"] = {"messages": self.trimmed.num_messages, "tokens": self.trimmed.num_tokens}
        if self.end.notes:
            told["notes"] = list(self.end.notes)
        return told

    def take_logprobs(self) -> list[TokenLogprobs]:
        """Those since the last call."""
        logprobs, self.logprobs = self.logprobs, []
        return logprobs
