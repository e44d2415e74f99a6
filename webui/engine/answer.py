"""One request on its way: from sampled tokens to the events that its reader sees.

Joins what belongs to a request: its sequence, its sampler, its text (whole characters, thinking apart, stop strings
cut) and its times. It does not know when its turn is, nor where the events go.
"""

from __future__ import annotations

from collections.abc import Iterator

from webui.engine.detokenizer import Detokenizer
from webui.engine.protocol import Generate
from webui.engine.reasoning import ReasoningSplitter, ThinkMarks
from webui.engine.runner import Sampler, Vocabulary
from webui.engine.sequence import Sequence
from webui.engine.stop_strings import StopStrings
from webui.types import Finished, FinishReason, GenerationEvent, ReasoningDelta, TextDelta, Timings, Usage


class Answer:
    """The state of one open request. Times are seconds of the loop's monotonic clock."""

    def __init__(
        self, command: Generate, tokens: list[int], sampler: Sampler, opened: ThinkMarks | None, *, arrived_at: float
    ) -> None:
        request = command.request
        self.request_id = command.request_id
        self.sampler = sampler
        self.sequence = Sequence(command.request_id, tokens, request.owner, request.priority)
        self.position = 0  #: in the queue, as last reported
        self._max_tokens = request.sampling.max_tokens
        self._detokenizer = Detokenizer()
        self._splitter = ReasoningSplitter(opened)
        self._stops = StopStrings(request.sampling.stop)
        self._arrived_at = arrived_at
        self._admitted_at: float | None = None
        self._first_token_at: float | None = None
        self._last_token_at = arrived_at
        self._num_sampled = 0  #: the end token included: it was computed, too

    def admit(self, now: float) -> None:
        """The sequence got its slot (again)."""
        if self._admitted_at is None:
            self._admitted_at = now

    def take(
        self, token: int, vocabulary: Vocabulary, max_context: int, now: float
    ) -> tuple[list[GenerationEvent], FinishReason | None]:
        """A token was sampled: its events, and the reason if it was the last one. The end token is not text."""
        self._first_token_at = self._first_token_at or now
        self._last_token_at = now
        self._num_sampled += 1
        if vocabulary.is_end(token):
            return [], "stop"
        self.sequence.tokens.append(token)
        events = list(self._say(self._splitter.feed(self._detokenizer.feed(vocabulary.token_bytes(token)))))
        if self._stops.has_stopped:
            return events, "stop"
        is_long = self.sequence.num_tokens >= max_context or self.sequence.num_completion_tokens == self._max_tokens
        return events, "length" if is_long else None

    def finish(self, reason: FinishReason, now: float) -> Iterator[GenerationEvent]:
        """The last events: text held back in vain, then the one Finished."""
        if not self._stops.has_stopped:
            yield from self._say(self._splitter.flush())
            if rest := self._stops.flush():
                yield TextDelta(text=rest)
        yield Finished(reason=reason, usage=self._usage(), timings=self._timings(now))

    def _say(self, deltas: Iterator[TextDelta | ReasoningDelta]) -> Iterator[GenerationEvent]:
        for delta in deltas:
            if isinstance(delta, ReasoningDelta):
                yield delta
            elif text := self._stops.feed(delta.text):
                yield TextDelta(text=text)

    def _usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.sequence.num_prompt_tokens,
            cached_tokens=self.sequence.num_cached_tokens,
            completion_tokens=self._num_sampled,
        )

    def _timings(self, now: float) -> Timings:
        admitted_at = now if self._admitted_at is None else self._admitted_at
        first_token_at = now if self._first_token_at is None else self._first_token_at
        writing = self._last_token_at - first_token_at
        return Timings(
            queued_seconds=admitted_at - self._arrived_at,
            first_token_seconds=first_token_at - self._arrived_at,
            total_seconds=now - self._arrived_at,
            tokens_per_second=(self._num_sampled - 1) / writing if writing > 0 else 0.0,
        )
