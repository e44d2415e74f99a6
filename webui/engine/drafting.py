"""Drafting: gives each writing sequence the guesses that the next step checks.

Guesses come from prompt lookup (`ngram`), or from a draft model where one is loaded and the sequence does not repeat
itself; how many are worth their place is `speculation`'s choice. Every guess is compared with what is written later,
also one that was not checked in a step: so how good they are is known before any time is spent on them. It does not
know llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from webui.engine.chunk import Chunk
from webui.engine.ngram import NgramDrafter
from webui.engine.sequence import Sequence
from webui.engine.speculation import MAX_DRAFT, Offer, Speculation

_MODEL = -1  #: the kind of the draft model's guesses; those of prompt lookup are graded by how much agrees before
_RECOVERING = 16  #: is added to that grade when something differed just before
_PRIORS = {_MODEL: 0.7, 4: 0.8, 5: 0.9, 6: 0.9}  #: grades: 4 from 8 tokens that agree, 5 from 16, 6 from 32
_SURE = 4  #: from this grade of prompt lookup on the draft model is not asked
_SHADOW = 4  #: tokens of a guess that are compared when no step checks it
_WEIGHT = 0.2  #: of the newest measurement of the draft model's speed


@dataclass(frozen=True, slots=True)
class Wanted:
    """The draft model is to guess `num_tokens` behind the tokens of the sequence in `slot`."""

    slot: int
    tokens: list[int]
    num_tokens: int


class DraftModel(Protocol):
    """A small model with the same vocabulary."""

    def propose(self, wanted: Items[Wanted], *, threads: int) -> list[list[int]]:
        """Its guesses, one list for each; shorter where it is not sure, empty while it still reads."""


@dataclass(slots=True)
class _Guess:
    """What should stand in the sequence from `start` on."""

    start: int
    tokens: list[int]
    kind: int

    num_right: int = 0  #: of its first tokens, those that have come true

    def is_decided(self, tokens: list[int]) -> bool:
        """Compare it with what the sequence says by now: whether it is all right, or wrong somewhere."""
        for place in range(self.start + self.num_right, min(len(tokens), self.start + len(self.tokens))):
            if tokens[place] != self.tokens[self.num_right]:
                return True
            self.num_right += 1
        return self.num_right == len(self.tokens)


class Drafting:
    """Each step: `plan`, schedule, compute and sample, `observe`; `forget` when a request ends."""

    def __init__(
        self,
        is_end: Callable[[int], bool],
        clock: Callable[[], float],
        draft_model: DraftModel | None = None,
    ) -> None:
        self._is_end = cache(is_end)  # asked for every guess
        self._clock = clock
        self._draft_model = draft_model
        self._speculation = Speculation(_PRIORS)
        self._drafters: dict[int, NgramDrafter] = {}
        self._guesses: dict[int, _Guess] = {}
        self._token_seconds = 0.0  # of the draft model, for one guess
        self._drafting_seconds = 0.0  # of the draft model, before the step that is on its way
        self.num_drafted = 0  #: guesses that were checked in a step
        self.num_accepted = 0  #: of those, the right ones

    @property
    def num_open(self) -> int:
        """Requests of which it knows something."""
        return len(self._drafters.keys() | self._guesses.keys())

    def plan(self, writers: Items[Sequence], *, threads: int, is_quiet: bool) -> None:
        """Choose each writer's draft. While others read (not `is_quiet`) the step is theirs, and nobody gets one."""
        self._drafting_seconds = 0.0
        offers: list[tuple[Sequence, list[int], Offer]] = []
        for sequence in writers:
            sequence.draft = []
            self._check(sequence)
            draft, grade = self._look_up(sequence)
            if draft and sequence.request_id not in self._guesses:
                self._guesses[sequence.request_id] = _Guess(sequence.num_tokens, draft[:_SHADOW], grade)
            if self._draft_model is not None and grade % _RECOVERING < _SURE:
                offers.append((sequence, [], Offer(sequence.request_id, MAX_DRAFT, _MODEL, self._token_seconds)))
            elif draft:
                offers.append((sequence, draft, Offer(sequence.request_id, len(draft), grade)))
        if not is_quiet or not offers:
            return
        lengths = self._speculation.plan([offer for *_, offer in offers], len(writers))
        asked = []
        for (sequence, draft, offer), length in zip(offers, lengths, strict=True):
            if length and draft:
                sequence.draft = draft[:length]
                self._watch(sequence, draft, offer.kind)
            elif length and sequence.slot is not None:
                asked.append((sequence, Wanted(sequence.slot, sequence.tokens, length)))
        if asked and self._draft_model is not None:
            self._ask(self._draft_model, asked, threads)

    def observe(self, chunks: Items[Chunk], num_sampled: int, seconds: float) -> None:
        """A step is over; `num_sampled` tokens came out of it."""
        num_drafted = 0
        for chunk in chunks:
            num_drafted += len(chunk.tokens) - 1
            if len(chunk.tokens) != chunk.num_outputs:
                return  # somebody reads: such a step says nothing about one of writers only
        num_tokens = len(chunks) + num_drafted
        num_accepted = num_sampled - len(chunks)
        self._speculation.observe_step(
            num_tokens,
            seconds,
            num_drafted=num_drafted,
            num_accepted=num_accepted,
            drafting_seconds=self._drafting_seconds,
        )
        self.num_drafted += num_drafted
        self.num_accepted += num_accepted

    def forget(self, request_id: int) -> None:
        """The request has ended."""
        self._drafters.pop(request_id, None)
        self._guesses.pop(request_id, None)
        self._speculation.forget(request_id)

    def _look_up(self, sequence: Sequence) -> tuple[list[int], int]:
        """Prompt lookup's guess, up to the end of the turn, and its grade."""
        drafter = self._drafters.get(sequence.request_id)
        if drafter is None:
            drafter = self._drafters[sequence.request_id] = NgramDrafter()
        draft = drafter.propose(sequence.tokens, MAX_DRAFT)
        grade = drafter.match.bit_length() + _RECOVERING * drafter.is_recovering
        for index, token in enumerate(draft):
            if self._is_end(token):
                return draft[:index], grade
        return draft, grade

    def _watch(self, sequence: Sequence, draft: list[int], kind: int) -> None:
        """See what becomes of this guess; of the one before it counts what has come true so far."""
        before = self._guesses.get(sequence.request_id)
        if before is not None:
            self._speculation.observe_draft(sequence.request_id, before.num_right, before.num_right, before.kind)
        self._guesses[sequence.request_id] = _Guess(sequence.num_tokens, draft, kind)

    def _check(self, sequence: Sequence) -> None:
        """Tell what became of the sequence's open guess, if that is decided."""
        guess = self._guesses.get(sequence.request_id)
        if guess is None:
            return
        if sequence.num_tokens < guess.start:  # it forgot its beginning meanwhile
            del self._guesses[sequence.request_id]
        elif guess.is_decided(sequence.tokens):
            self._speculation.observe_draft(sequence.request_id, len(guess.tokens), guess.num_right, guess.kind)
            del self._guesses[sequence.request_id]

    def _ask(self, draft_model: DraftModel, asked: list[tuple[Sequence, Wanted]], threads: int) -> None:
        """Let the draft model guess for these, and learn what that costs. That it reads the prompt, too, is its price
        and not counted; it does so only where its guesses would be worth their place."""
        started_at = self._clock()
        drafts = draft_model.propose([wanted for _, wanted in asked], threads=threads)
        seconds = self._clock() - started_at
        if num_tokens := sum(map(len, drafts)):
            known = self._token_seconds or seconds / num_tokens
            self._token_seconds = known + _WEIGHT * (seconds / num_tokens - known)
            self._drafting_seconds = seconds
        for (sequence, _), draft in zip(asked, drafts, strict=True):
            sequence.draft = draft
            if draft:
                self._watch(sequence, draft, _MODEL)
