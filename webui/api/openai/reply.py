"""Generation events in OpenAI's words: one JSON object for a whole answer, or the chunks of a streamed one.

`usage` and `finish_reason` are OpenAI's; `reasoning_content` is what other local servers call the text between think
tags; `timings` is ours (seconds). It does not read or write a connection.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from webui import __version__
from webui.api.gathered import Gathered
from webui.types import (
    AlternativeToken,
    ContextTrimmed,
    Finished,
    GenerationEvent,
    PromptProgress,
    Queued,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprobs,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_LEAST_LOGPROB = -9999.0  # OpenAI's for "very unlikely"; JSON has no infinity


class Completion:
    """The parts that every object of one answer shares (its id, its time, its model), and what its choices say."""

    def __init__(self, model: str, num_choices: int = 1) -> None:
        self.num_choices = num_choices
        self._common: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"glasshouse-{__version__}",
        }
        self._choices = [Gathered() for _ in range(num_choices)]

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        """The `chat.completion` object of a whole answer; each event comes with the number of its choice."""
        async for index, event in events:
            self._choices[index].take(event)
        return {
            **self._common,
            "object": "chat.completion",
            "choices": [_whole_choice(index, choice) for index, choice in enumerate(self._choices)],
            "usage": usage_object(self._usage()),
            "timings": timings_object(self._timings()),
        }

    def first_chunk(self, index: int = 0) -> dict[str, Any]:
        return self._chunk(index, {"role": "assistant", "content": ""})

    def usage_chunk(self) -> dict[str, Any]:
        """Behind the end of every choice."""
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": []}
        return chunk | {"usage": usage_object(self._usage())}

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        """The chunk of one event; None for the events that OpenAI has no word for."""
        choice = self._choices[index]
        match event:
            case TextDelta(text=text):
                return self._chunk(index, {"content": text}, logprobs_object(choice.take_logprobs()))
            case ReasoningDelta(text=text):
                return self._chunk(index, {"reasoning_content": text})
            case ToolCallDelta():
                return self._chunk(index, {"tool_calls": [_call_delta(event)]})
            case Finished():
                choice.take(event)
                return self._chunk(index, {}, logprobs_object(choice.take_logprobs()), event)
            case TokenLogprobs() | ContextTrimmed():
                choice.take(event)
                return None
            case Queued() | PromptProgress():
                return None

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        finished: Finished | None = None,
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": [choice]}
        if finished is None:
            return chunk
        choice["finish_reason"] = finish_reason(finished)
        choice |= self._choices[index].told
        return chunk | {"timings": timings_object(finished.timings)}

    def _usage(self) -> Usage:
        """The prompt counts once, and so does what had to be computed of it."""
        ends = [choice.end.usage for choice in self._choices]
        return Usage(
            prompt_tokens=ends[0].prompt_tokens,
            cached_tokens=min(usage.cached_tokens for usage in ends),
            completion_tokens=sum(usage.completion_tokens for usage in ends),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in ends),
        )

    def _timings(self) -> Timings:
        """Of all choices together: from the first word of one to the end of the last."""
        ends = [choice.end.timings for choice in self._choices]
        return Timings(
            queued_seconds=min(end.queued_seconds for end in ends),
            first_token_seconds=min(end.first_token_seconds for end in ends),
            total_seconds=max(end.total_seconds for end in ends),
            tokens_per_second=sum(end.tokens_per_second for end in ends),
        )


def _whole_choice(index: int, said: Gathered) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
    if said.calls:
        message["content"] = said.text or None
        message["tool_calls"] = [_whole_call(call) for call in said.calls]
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_object(said.take_logprobs()),
        "finish_reason": finish_reason(said.end),
    } | said.told


def finish_reason(finished: Finished) -> str:
    return finished.reason if finished.reason in {"length", "tool_calls"} else "stop"


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    """A piece of a call: the first one names it."""
    function: dict[str, str] = {"arguments": event.arguments}
    if not event.name:
        return {"index": event.index, "function": function}
    return {"index": event.index, "id": event.id, "type": "function", "function": {"name": event.name} | function}


def _whole_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def logprobs_object(logprobs: list[TokenLogprobs]) -> dict[str, Any] | None:
    """None when there are none, as OpenAI has it for requests that did not ask."""
    if not logprobs:
        return None
    content = [
        {**_odds_object(odds.chosen), "top_logprobs": [_odds_object(token) for token in odds.top]} for odds in logprobs
    ]
    return {"content": content, "refusal": None}


def _odds_object(token: AlternativeToken) -> dict[str, Any]:
    return {
        "token": token.token.decode("utf-8", "replace"),
        "logprob": max(token.logprob, _LEAST_LOGPROB),
        "bytes": list(token.token),
    }


def usage_object(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def timings_object(timings: Timings) -> dict[str, float]:
    return {
        "queued_seconds": round(timings.queued_seconds, 4),
        "first_token_seconds": round(timings.first_token_seconds, 4),
        "total_seconds": round(timings.total_seconds, 4),
        "tokens_per_second": round(timings.tokens_per_second, 2),
    }
