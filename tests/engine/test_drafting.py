"""Drafting beside the loop: who gets which guesses, and what is learned from those that no step has checked."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from webui.engine.chunk import Chunk
from webui.engine.drafting import Drafting, Wanted
from webui.engine.sequence import Sequence

END = 0
PHRASE = [ord(letter) for letter in "the same again and "]
CHEAP = 0.001  #: seconds that a further token in a step costs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Parrot:
    """A draft model that knows how everything goes on; each guess takes `seconds`."""

    clock: Clock
    seconds: float = 0.001
    calls: list[Items[Wanted]] = field(default_factory=list)

    def propose(self, wanted: Items[Wanted], *, threads: int) -> list[list[int]]:
        self.calls.append(wanted)
        self.clock.now += self.seconds * sum(each.num_tokens for each in wanted)
        return [[truth(len(each.tokens) + place) for place in range(each.num_tokens)] for each in wanted]


def truth(place: int) -> int:
    """What every sequence in these tests says: a phrase, for ever."""
    return PHRASE[place % len(PHRASE)]


def writer(request_id: int = 1, num_tokens: int = 4, slot: int = 0) -> Sequence:
    return Sequence(request_id, [truth(place) for place in range(num_tokens)], slot=slot)


def step(drafting: Drafting, *sequences: Sequence, is_quiet: bool = True, step_seconds: float = 0.1) -> list[int]:
    """One step of a model that says `truth`; how many tokens came for each."""
    drafting.plan(sequences, threads=1, is_quiet=is_quiet)
    chunks, counts = [], []
    for sequence in sequences:
        tokens = [sequence.tokens[-1], *sequence.draft]
        chunks.append(Chunk(sequence, sequence.slot or 0, sequence.num_tokens - 1, tokens, len(tokens)))
        count = 1
        sequence.tokens.append(truth(sequence.num_tokens))
        for guess in sequence.draft:
            if guess != sequence.tokens[-1]:
                break
            sequence.tokens.append(truth(sequence.num_tokens))
            count += 1
        counts.append(count)
        sequence.draft = []
    drafting.observe(chunks, sum(counts), step_seconds + CHEAP * sum(len(chunk.tokens) for chunk in chunks))
    return counts


def is_end(token: int) -> bool:
    return token == END


def test_a_repetition_is_soon_written_many_tokens_a_step() -> None:
    drafting, sequence = Drafting(is_end, Clock()), writer()
    counts = [step(drafting, sequence)[0] for _ in range(60)]
    assert set(counts[: len(PHRASE) - 4]) == {1}, "nothing has been repeated yet"
    assert max(counts) == 16
    assert sum(counts[-10:]) > 100
    assert drafting.num_accepted <= drafting.num_drafted
    assert drafting.num_accepted == sum(counts) - 60


def test_while_somebody_reads_nobody_guesses_but_everybody_learns() -> None:
    drafting, sequence = Drafting(is_end, Clock()), writer()
    assert {step(drafting, sequence, is_quiet=False)[0] for _ in range(100)} == {1}
    assert max(step(drafting, sequence)[0] for _ in range(8)) > 1, "it is known by then that the guesses are good"


def test_no_guess_goes_beyond_the_end_of_the_turn() -> None:
    drafting = Drafting(is_end, Clock())
    sequence = Sequence(1, [*PHRASE, END, *PHRASE], slot=0)
    for _ in range(20):
        drafting.plan([sequence], threads=1, is_quiet=True)
        assert END not in sequence.draft
        chunk = Chunk(sequence, 0, sequence.num_tokens - 1, [sequence.tokens[-1], *sequence.draft], 1)
        drafting.observe([chunk], 1, 0.1)


def test_a_step_in_which_somebody_reads_is_not_measured() -> None:
    drafting, sequence, reader = Drafting(is_end, Clock()), writer(), writer(2, slot=1)
    for _ in range(30):
        drafting.plan([sequence], threads=1, is_quiet=False)
        drafting.observe([Chunk(sequence, 0, 0, [1], 1), Chunk(reader, 1, 0, [1] * 30, 0)], 1, 5.0)
    step(drafting, sequence)
    assert sequence.draft == []


def test_what_a_request_taught_about_itself_goes_with_it() -> None:
    drafting = Drafting(is_end, Clock())
    for request_id in range(20):
        sequence = writer(request_id, num_tokens=30)
        for _ in range(5):
            step(drafting, sequence)
        drafting.forget(request_id)
    assert drafting.num_open == 0


def test_a_draft_model_guesses_where_nothing_repeats_itself() -> None:
    clock = Clock()
    parrot = Parrot(clock)
    drafting, sequence = Drafting(is_end, clock, parrot), writer()
    counts = [step(drafting, sequence)[0] for _ in range(12)]
    assert max(counts) > 4
    assert {each.slot for call in parrot.calls for each in call} == {0}


def test_a_draft_model_that_is_too_slow_is_hardly_asked() -> None:
    clock = Clock()
    parrot = Parrot(clock, seconds=0.2)
    drafting, sequence = Drafting(is_end, clock, parrot), writer()
    for _ in range(300):
        step(drafting, sequence)
    assert len(parrot.calls) < 10


def test_two_who_write_are_guessed_for_in_one_call() -> None:
    clock = Clock()
    parrot = Parrot(clock)
    drafting, sequences = Drafting(is_end, clock, parrot), [writer(1, slot=0), writer(2, slot=1)]
    for _ in range(12):
        step(drafting, *sequences)
    assert max(len(call) for call in parrot.calls) == 2


def test_prompt_lookup_goes_before_the_draft_model_where_it_is_sure() -> None:
    clock = Clock()
    parrot = Parrot(clock)
    drafting, sequence = Drafting(is_end, clock, parrot), writer(num_tokens=len(PHRASE) * 3)
    for _ in range(20):
        step(drafting, sequence)
    assert parrot.calls == []
    assert drafting.num_accepted > 50
