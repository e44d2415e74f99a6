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
    Usage,
)

_LEAST_LOGPROB = -9999.0  # OpenAI's for "very unlikely"; JSON has no infinity


class Completion:
    """The parts that every object of one answer shares: its id, its time, its model."""

    def __init__(self, model: str) -> None:
        self._common: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"glasshouse-{__version__}",
        }
        self._untold: list[TokenLogprobs] = []  #: their text has not come yet

    async def collect(self, events: AsyncIterator[GenerationEvent]) -> dict[str, Any]:
        """The `chat.completion` object of a whole answer."""
        content: list[str] = []
        reasoning: list[str] = []
        logprobs: list[TokenLogprobs] = []
        finished: Finished | None = None
        async for event in events:
            match event:
                case TextDelta(text=text):
                    content.append(text)
                case ReasoningDelta(text=text):
                    reasoning.append(text)
                case TokenLogprobs():
                    logprobs.append(event)
                case Finished():
                    finished = event
        if finished is None:
            raise RuntimeError("the engine's events ended without Finished")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(content), "refusal": None}
        if reasoning:
            message["reasoning_content"] = "".join(reasoning)
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs_object(logprobs),
            "finish_reason": finish_reason(finished),
        }
        return {
            **self._common,
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage_object(finished.usage),
            "timings": timings_object(finished.timings),
        }

    def chunk(self, delta: dict[str, Any], finished: Finished | None = None) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs_object(self._untold) if finished or "content" in delta else None,
            "finish_reason": finish_reason(finished) if finished else None,
        }
        if choice["logprobs"]:
            self._untold = []
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": [choice]}
        return chunk | ({"timings": timings_object(finished.timings)} if finished else {})

    def first_chunk(self) -> dict[str, Any]:
        return self.chunk({"role": "assistant", "content": ""})

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        return {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": usage_object(usage)}

    def event_chunk(self, event: GenerationEvent) -> dict[str, Any] | None:
        """The chunk of one event; None for the events that OpenAI has no word for."""
        match event:
            case TextDelta(text=text):
                return self.chunk({"content": text})
            case ReasoningDelta(text=text):
                return self.chunk({"reasoning_content": text})
            case Finished():
                return self.chunk({}, event)
            case TokenLogprobs():
                self._untold.append(event)
                return None
            case Queued() | PromptProgress() | ContextTrimmed():
                return None


def finish_reason(finished: Finished) -> str:
    return "length" if finished.reason == "length" else "stop"


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
    }


def timings_object(timings: Timings) -> dict[str, float]:
    return {
        "queued_seconds": round(timings.queued_seconds, 4),
        "first_token_seconds": round(timings.first_token_seconds, 4),
        "total_seconds": round(timings.total_seconds, 4),
        "tokens_per_second": round(timings.tokens_per_second, 2),
    }
