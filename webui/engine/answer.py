"""One request on its way: from sampled tokens to the events that its reader sees.

Joins what belongs to a request: its sequence, its sampler, its text (whole characters, thinking apart, stop strings
cut) and its times. It does not know when its turn is, nor where the events go.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from webui.engine.answer_reader import AnswerReader, Delta
from webui.engine.detokenizer import Detokenizer
from webui.engine.intake import Reading
from webui.engine.runner import Sampled, Sampler, Vocabulary
from webui.engine.sequence import Sequence
from webui.engine.stop_strings import StopStrings
from webui.engine.thoughts import Thoughts
from webui.engine.tool_calls.harmony import AnswerForm
from webui.types import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    ReasoningDelta,
    TextDelta,
    Timings,
    Usage,
)


class ReadAhead:
    """A request whose prompt is read, and no more. Times are seconds of the loop's monotonic clock."""

    def __init__(
        self,
        request_id: int,
        request: GenerationRequest,
        reading: Reading,
        *,
        arrived_at: float,
        reads_only: bool = True,
    ) -> None:
        self.request_id = request_id
        self.request = request
        self.sequence = Sequence(
            request_id,
            reading.tokens,
            request.owner,
            request.priority,
            conversation=request.conversation,
            variant=request.adapters,
            images=reading.images,
            is_side_job=request.is_side_job,
            reads_only=reads_only,
        )
        self.position = 0  #: in the queue, as last reported
        self.kept: object = None  #: what must not be let go while it lives
        self._num_prompt_tokens = len(reading.tokens)
        self._arrived_at = arrived_at
        self._admitted_at: float | None = None
        self._first_token_at: float | None = None
        self._last_token_at = arrived_at
        self.num_sampled = 0  #: tokens, the end token included: it was computed, too

    def admit(self, now: float) -> None:
        """The sequence got its slot (again)."""
        if self._admitted_at is None:
            self._admitted_at = now

    def finish(self, reason: FinishReason, now: float) -> Iterator[GenerationEvent]:
        """The last events, the one Finished behind all others."""
        yield Finished(reason=reason, usage=self._usage(), timings=self._timings(now))

    def close(self) -> None:
        """Give back what belongs to the model."""

    def _usage(self) -> Usage:
        return Usage(
            prompt_tokens=self._num_prompt_tokens,
            cached_tokens=self.sequence.num_cached_tokens,
            completion_tokens=self.num_sampled,
            reasoning_tokens=self._num_reasoning_tokens,
        )

    @property
    def _num_reasoning_tokens(self) -> int:
        return 0

    def _timings(self, now: float) -> Timings:
        admitted_at = now if self._admitted_at is None else self._admitted_at
        first_token_at = now if self._first_token_at is None else self._first_token_at
        writing = self._last_token_at - first_token_at
        return Timings(
            queued_seconds=admitted_at - self._arrived_at,
            first_token_seconds=first_token_at - self._arrived_at,
            total_seconds=now - self._arrived_at,
            tokens_per_second=(self.num_sampled - 1) / writing if writing > 0 else 0.0,
        )


def never_read(seconds: float) -> Finished:
    """The end of a request that was cancelled `seconds` after it came, before anything of it was read."""
    usage = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
    timings = Timings(queued_seconds=seconds, first_token_seconds=0.0, total_seconds=seconds, tokens_per_second=0.0)
    return Finished(reason="cancelled", usage=usage, timings=timings)


class Answer(ReadAhead):
    """A request that is answered."""

    def __init__(
        self, request_id: int, request: GenerationRequest, reading: Reading, sampler: Sampler, *, arrived_at: float
    ) -> None:
        super().__init__(request_id, request, reading, arrived_at=arrived_at, reads_only=False)
        self.sampler = sampler
        self._detokenizer = Detokenizer()
        self._reader = AnswerReader(
            reading.opened,
            reading.form,
            request.tools,
            request.tool_choice,
            can_ask_again=request.sampling.logprobs is None and request.sampling.grammar is None,
        )
        self._texts: list[str] = []  #: what each token of the answer said, where calls may have to be taken back
        self._has_ended = False  #: the model has ended its answer
        self._stops = StopStrings(request.sampling.stop)
        self._thoughts = Thoughts(reading.budget)
        self._has_begun = False
        if not self._reader.is_thinking:
            self._begin()

    def take(
        self, sampled: Sampled, vocabulary: Vocabulary, now: float
    ) -> tuple[list[GenerationEvent], FinishReason | None]:
        """A token was sampled: its events, and the reason if it was the last one. The end token is not text.

        Where thinking has to end, what ends it stands behind the token in the sequence.
        """
        token = sampled.token
        self._first_token_at = self._first_token_at or now
        self._last_token_at = now
        if vocabulary.is_end(token):
            self.num_sampled += 1
            self._has_ended = True
            return list(self._say(self._reader.finish(is_cut=False))), None if self.is_broken else "stop"
        events: list[GenerationEvent] = [] if sampled.logprobs is None else [sampled.logprobs]
        events += self._read(token, vocabulary)
        words = self._words_behind_thoughts
        tokens = vocabulary.tokenize_behind(words) if words else []
        if fits := self._has_room(len(tokens)):
            events += [event for each in tokens for event in self._read(each, vocabulary)]
        if not self._has_begun and not self._reader.is_thinking:
            self._begin()
        if self._stops.has_stopped or self._reader.has_ended:
            return events, "stop"
        return events, None if fits and self._has_room(1) else "length"

    def finish(self, reason: FinishReason, now: float) -> Iterator[GenerationEvent]:
        """The last events: text held back in vain, then the one Finished."""
        if not self._stops.has_stopped:
            if not self._has_ended:
                yield from self._say(self._reader.finish(is_cut=reason != "stop"))
            if rest := self._stops.flush():
                yield TextDelta(text=rest)
        if reason == "stop" and self._reader.num_calls:
            reason = "tool_calls"
        for finished in super().finish(reason, now):
            yield msgspec.structs.replace(finished, stop_text=self._stops.matched, notes=self._reader.notes)

    def close(self) -> None:
        self.sampler.close()

    # --- a call that cannot be read --------------------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """The model wrote a call that cannot be read, none of which was said: `ask_again`, or `give_back`."""
        return self._reader.num_lost > 0

    def ask_again(self, sampler: Sampler, vocabulary: Vocabulary) -> list[int]:
        """The sequence's tokens as they were before the call; `sampler` writes nothing but calls."""
        num_lost, kept = self._reader.num_lost, len(self._texts)
        while num_lost > 0 and kept:
            kept -= 1
            num_lost -= len(self._texts[kept])
        before = self._texts[kept][:-num_lost] if num_lost < 0 else ""
        tokens = self.sequence.tokens[: len(self.sequence.tokens) - len(self._texts) + kept]
        self._texts = self._texts[:kept]
        if before:  # the token in which the call begins says something else first
            tokens += (again := vocabulary.tokenize_behind(before))
            self._texts += [before, *[""] * (len(again) - 1)]
        self._reader.ask_again()
        self._detokenizer = Detokenizer()
        self.sampler.close()
        self.sampler, self._has_ended = sampler, False
        self.sampler.begin_answer()
        return tokens

    def give_back(self) -> tuple[list[GenerationEvent], FinishReason | None]:
        """The call stands in the text: its events, and the reason if that was all."""
        events = list(self._say(self._reader.give_back()))
        if self._has_ended:
            events += self._say(self._reader.finish(is_cut=False))
        return events, "stop" if self._has_ended else None

    @property
    def _num_reasoning_tokens(self) -> int:
        return self._thoughts.num_tokens

    def _begin(self) -> None:
        """The thinking, if there was any, is over."""
        self._has_begun = True
        self.sampler.begin_answer()

    @property
    def _form(self) -> AnswerForm:
        """What the grammar of the answer, if there is one, begins with."""
        if self.request.tools and self.request.tool_choice.mode != "none":
            return "call" if self.request.tool_choice.is_forced else "free"
        return "answer" if self.request.sampling.grammar is not None else "free"

    @property
    def _words_behind_thoughts(self) -> str:
        """What has to be said in the model's place, now that there have been enough thoughts or it has ended them."""
        if self._reader.is_thinking:
            return self._reader.ending(self._form) if self._thoughts.is_spent else ""
        return "" if self._has_begun else self._reader.lead(self._form)

    def _has_room(self, num_tokens: int) -> bool:
        most = self.request.sampling.max_tokens
        return most is None or self.num_sampled + num_tokens <= most

    def _read(self, token: int, vocabulary: Vocabulary) -> list[GenerationEvent]:
        """The token is part of the answer: its events."""
        self.num_sampled += 1
        self.sequence.tokens.append(token)
        was_thinking = self._reader.is_thinking
        text = self._detokenizer.feed(self._bytes(token, vocabulary))
        self._texts.append(text)
        events = list(self._say(self._reader.feed(text)))
        has_said = any(not isinstance(event, ReasoningDelta) for event in events)
        self._thoughts.take(is_thinking=was_thinking or self._reader.is_thinking, has_said=has_said)
        return events

    def _bytes(self, token: int, vocabulary: Vocabulary) -> bytes:
        """What the token adds to the answer; marks that say where a call is must be read even if they are silent."""
        said = vocabulary.token_bytes(token)
        if said or not self._reader.marks:
            return said
        text = vocabulary.control_text(token)
        return text.encode() if text in self._reader.marks else b""

    def _say(self, deltas: Iterator[Delta]) -> Iterator[GenerationEvent]:
        """Stop strings are looked for in what is said: a call is never cut in two."""
        for delta in deltas:
            if not isinstance(delta, TextDelta):
                yield delta
            elif not self._stops.has_stopped and (text := self._stops.feed(delta.text)):
                yield TextDelta(text=text)
