"""Generation events in the words of OpenAI's older dialect: `text_completion` objects."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from webui import __version__
from webui.api.gathered import Gathered
from webui.api.openai.reply import finish_reason, usage_object
from webui.core.alive import Answering
from webui.types import Finished, GenerationEvent, ReasoningDelta, TextDelta, TokenLogprobs, Usage


class TextCompletion:
    """One answer with its choices; each begins with its echo, which may be empty."""

    def __init__(self, answering: Answering, echoes: Sequence[str], num_each: int) -> None:
        """`num_each`: choices for each prompt."""
        self._echoes = echoes
        self._num_each = num_each
        self._choices = [Gathered() for _ in echoes]
        self._offsets = [0] * len(echoes)  # of the text whose log-probabilities were told
        self._common: dict[str, Any] = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": answering.name,
            "system_fingerprint": f"glasshouse-{__version__}",
        }

    @property
    def num_choices(self) -> int:
        return len(self._choices)

    async def collect(self, events: AsyncIterator[tuple[int, GenerationEvent]]) -> dict[str, Any]:
        async for index, event in events:
            self._choices[index].take(event)
        choices = [
            self._choice(index, self._echoes[index] + choice.reasoning + choice.text, choice.end)
            for index, choice in enumerate(self._choices)
        ]
        return {**self._common, "choices": choices, "usage": usage_object(self._usage())}

    def first_chunk(self, index: int) -> dict[str, Any] | None:
        return self._chunk(index, self._echoes[index]) if self._echoes[index] else None

    def event_chunk(self, index: int, event: GenerationEvent) -> dict[str, Any] | None:
        self._choices[index].take(event)
        match event:
            case TextDelta(text=text) | ReasoningDelta(text=text):  # there is no word for thoughts
                return self._chunk(index, text)
            case Finished():
                return self._chunk(index, "", event)
            case _:
                return None

    def usage_chunk(self) -> dict[str, Any]:
        return {**self._common, "choices": [], "usage": usage_object(self._usage())}

    def _chunk(self, index: int, text: str, end: Finished | None = None) -> dict[str, Any]:
        return {**self._common, "choices": [self._choice(index, text, end)]}

    def _choice(self, index: int, text: str, end: Finished | None) -> dict[str, Any]:
        reason = finish_reason(end) if end is not None else None
        return {"index": index, "text": text, "logprobs": self._logprobs(index), "finish_reason": reason}

    def _logprobs(self, index: int) -> dict[str, Any] | None:
        """Those since the last time."""
        told = self._choices[index].take_logprobs()
        if not told:
            return None
        tokens = [_text(each.chosen.token) for each in told]
        offsets = []
        for token in tokens:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [each.chosen.logprob for each in told],
            "top_logprobs": [_alternatives(each) for each in told],
            "text_offset": offsets,
        }

    def _usage(self) -> Usage:
        """Each prompt counts once."""
        ends = [choice.end.usage for choice in self._choices]
        first_of_each = ends[:: self._num_each]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in first_of_each),
            cached_tokens=sum(usage.cached_tokens for usage in first_of_each),
            completion_tokens=sum(usage.completion_tokens for usage in ends),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in ends),
        )


def _alternatives(odds: TokenLogprobs) -> dict[str, float]:
    return {_text(each.token): each.logprob for each in odds.top}


def _text(token: bytes) -> str:
    return token.decode("utf-8", "replace")
