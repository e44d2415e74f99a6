"""Watches one answer on its way from a model to whoever asked: when it came, how fast, how it ended.

    with telemetry.watch_answer() as watch:
        watch.begin(model_id, request)
        async for event in events:
            watch.take(event)

It costs a look at the clock and an increment for each piece of text; `docs/observability.md` has the measured figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from webui.core.telemetry.request_record import AnswerRecord, CacheOutcome, Operation, RequestRecord
from webui.errors import GlasshouseError
from webui.types import (
    Finished,
    GenerationEvent,
    GenerationRequest,
    Priority,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

_PIECES = frozenset({TextDelta, ReasoningDelta, ToolCallDelta})


class Observing(Protocol):
    """A histogram."""

    def observe(self, amount: float) -> None: ...


class AnswerWatch:
    """`between` makes the histogram for the time between two pieces; `on_end` is told of the answer when it is over."""

    def __init__(
        self,
        request: RequestRecord | None,
        between: Callable[[AnswerRecord], Observing],
        on_end: Callable[[AnswerRecord, RequestRecord | None], None],
    ) -> None:
        self.answer = AnswerRecord(time.perf_counter(), request.route.dialect if request is not None else "page")
        self._request = request
        self._find_between = between
        self._between: Observing | None = None
        self._on_end = on_end
        self._last_at = 0.0

    def __enter__(self) -> Self:
        if self._request is not None:
            self._request.add(self.answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        answer = self.answer
        answer.ended_at = time.perf_counter()
        if isinstance(error, GlasshouseError):
            answer.reason, answer.error = "failed", error.code
        elif isinstance(error, Exception):
            answer.reason, answer.error = "failed", "internal_error"
        elif answer.reason is None:  # closed or cancelled: whoever asked is gone
            answer.reason = "cancelled"
        self._on_end(answer, self._request)

    def begin(self, model_id: str, asked: GenerationRequest) -> None:
        """The model is there and is asked."""
        if self._request is None and asked.priority is not Priority.INTERACTIVE:
            self.answer.dialect = "background"
        self.answer.sampling = asked.sampling
        self._begin(model_id, "chat" if asked.prompt is None else "text_completion")
        self._between = self._find_between(self.answer)

    def begin_vectors(self, model_id: str, operation: Operation) -> None:
        """The same for a model that embeds or ranks, which no page asks; `count` tells the rest."""
        if self._request is None:
            self.answer.dialect = "background"
        self._begin(model_id, operation)

    def note_cache(self, outcome: CacheOutcome) -> None:
        self.answer.cache = outcome

    def take(self, event: GenerationEvent) -> None:
        if type(event) in _PIECES:
            now = time.perf_counter()
            if self._last_at == 0.0:
                self.answer.first_at = now
            elif self._between is not None and self.answer.cache != "hit":  # what is replayed says nothing of a model
                self._between.observe(now - self._last_at)
            self._last_at = now
        elif isinstance(event, Finished):
            self.answer.usage, self.answer.timings, self.answer.reason = event.usage, event.timings, event.reason

    def count(self, num_tokens: int) -> None:
        self.answer.usage = Usage(prompt_tokens=num_tokens, cached_tokens=0, completion_tokens=0)
        self.answer.reason = "stop"

    def _begin(self, model_id: str, operation: Operation) -> None:
        self.answer.model, self.answer.operation = model_id, operation
        self.answer.begun_at = time.perf_counter()
