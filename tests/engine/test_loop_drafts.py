"""The loop with guesses: the same words as without them, in fewer steps, whatever is guessed."""

from __future__ import annotations

import random
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.fake_runner import FakeRunner, next_letter
from tests.engine.script import OPTIONS, Clock, Script, answer_alone, ask
from webui.engine.boot import run_loop
from webui.engine.chunk import Chunk
from webui.engine.drafting import Drafting, Wanted
from webui.engine.protocol import Cancel, Generate, Happened, Load
from webui.engine.sequence import Sequence
from webui.types import EngineOptions, TextDelta

LONG = msgspec.structs.replace(OPTIONS, context_tokens=2000, kv_tokens=4000)


def true_guess(tokens: Items[int], count: int) -> list[int]:
    """What the fake model will say next."""
    grown = list(tokens)
    for _ in range(count):
        grown.append(next_letter(grown))
    return grown[len(tokens) :]


class Oracle:
    """A draft model that is right with these odds."""

    def __init__(self, odds: float, seed: int = 0) -> None:
        self.odds = odds
        self.random = random.Random(seed)

    def propose(self, wanted: Items[Wanted], *, threads: int) -> list[list[int]]:
        return [self.guess(each.tokens, each.num_tokens) for each in wanted]

    def guess(self, tokens: Items[int], count: int) -> list[int]:
        truth = true_guess(tokens, count)
        return [token if self.random.random() < self.odds else token + 1 for token in truth]


class Steps:
    """Counts the batches of a runner."""

    def __init__(self) -> None:
        self.num_tokens: list[int] = []

    def __call__(self, chunks: Items[Chunk]) -> None:
        self.num_tokens.append(sum(chunk.count for chunk in chunks))


def play(script: Script, options: EngineOptions = LONG, **more: object) -> Steps:
    steps = Steps()
    runner = FakeRunner(options, step=steps, **more)  # type: ignore[arg-type]
    script.commands.appendleft(Load(model_path="fake.gguf", options=options))
    assert run_loop(script, lambda _load, _progress: runner, Clock())
    assert all(sampler.is_closed for sampler in runner.samplers)
    return steps


def test_right_guesses_give_the_same_words_in_fewer_steps() -> None:
    script = Script(ask(1, "Hello", max_tokens=300))
    steps = play(script, draft_model=Oracle(1.0))
    assert script.text(1) == answer_alone("Hello", 300)
    assert script.end(1).usage.completion_tokens == 300
    assert len(steps.num_tokens) < 100


def test_wrong_guesses_give_the_same_words_and_soon_stop() -> None:
    script = Script(ask(1, "Hello", max_tokens=300))
    steps = play(script, draft_model=Oracle(0.0))
    assert script.text(1) == answer_alone("Hello", 300)
    assert sum(num_tokens > 1 for num_tokens in steps.num_tokens) < 40


@pytest.mark.parametrize(
    "more",
    [{"can_trim": False}, {"options": msgspec.structs.replace(LONG, speculate=False)}],
    ids=["a memory that cannot be trimmed", "switched off"],
)
def test_no_guesses_where_they_could_not_be_taken_back_or_are_not_wanted(more: dict[str, object]) -> None:
    script = Script(ask(1, "Hello", max_tokens=200))
    steps = play(script, draft_model=Oracle(1.0), **more)  # type: ignore[arg-type]
    assert script.text(1) == answer_alone("Hello", 200)
    assert len(steps.num_tokens) >= 200


def test_nobody_guesses_in_a_step_that_reads_a_prompt() -> None:
    script = Script(ask(1, "Hello", max_tokens=400, owner="ann"), ask(2, "x" * 900, max_tokens=40, owner="bob"))
    steps = play(script, draft_model=Oracle(1.0))
    reading = [count for count in steps.num_tokens if count > 20]
    assert len(reading) >= 900 // LONG.batch_tokens
    assert (script.text(1), script.text(2)) == (answer_alone("Hello", 400), answer_alone("x" * 900, 40))


# --- whatever is guessed ---------------------------------------------------------------------------------------------


class Guesser(Drafting):
    """Guesses much and badly, and never learns."""

    source: Callable[[Sequence], list[int]]

    def plan(self, writers: Items[Sequence], *, threads: int, is_quiet: bool) -> None:
        for sequence in writers:
            sequence.draft = type(self).source(sequence)


def cancel_at(script: Script, request_id: int, num_deltas: int) -> None:
    """Cancel a request after so many pieces of its text."""

    def watch(report: object) -> None:
        nonlocal num_deltas
        if isinstance(report, Happened) and report.request_id == request_id and isinstance(report.event, TextDelta):
            num_deltas -= 1
            if num_deltas == 0:
                script.commands.append(Cancel(request_id=request_id))

    script.on_report = watch


def request(number: int, text: str, *, shifts: bool, **more: Any) -> Generate:
    """A request whose oldest tokens are forgotten when the context is full, or that ends there."""
    command = ask(number, text, **more)
    overflow = "shift" if shifts and more["max_tokens"] else "error"
    return msgspec.structs.replace(command, request=msgspec.structs.replace(command.request, overflow=overflow))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**20), odds=st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0]), data=st.data())
def test_no_guess_changes_a_word(seed: int, odds: float, data: st.DataObject) -> None:
    """Several at once, in little memory, with stop strings, limits, full contexts and somebody who hangs up."""
    options = msgspec.structs.replace(OPTIONS, context_tokens=160, kv_tokens=data.draw(st.sampled_from([170, 320])))
    requests = [
        request(
            number,
            data.draw(st.text("abc ", min_size=1, max_size=40)),
            shifts=data.draw(st.booleans()),
            max_tokens=data.draw(st.one_of(st.none(), st.integers(1, 200))),
            stop=data.draw(st.sampled_from([(), ("q",), ("zz", "k")])),
            owner=data.draw(st.sampled_from(["ann", "bob"])),
        )
        for number in range(1, 4)
    ]
    plain = Script(*requests)
    play(plain, options=msgspec.structs.replace(options, speculate=False))
    oracle = Oracle(odds, seed)

    class Guessing(Guesser):
        @staticmethod
        def source(sequence: Sequence) -> list[int]:
            return oracle.guess(sequence.tokens, oracle.random.randint(0, 15))

    script = Script(*requests)
    cancelled = data.draw(st.one_of(st.none(), st.integers(1, 3)))
    if cancelled is not None:
        cancel_at(script, cancelled, data.draw(st.integers(1, 20)))
    with patch("webui.engine.loop.Drafting", Guessing):
        play(script, options=options)
    for number in range(1, 4):
        if number == cancelled:
            assert plain.text(number).startswith(script.text(number))
        else:
            assert script.text(number) == plain.text(number)
            assert script.end(number).usage.completion_tokens == plain.end(number).usage.completion_tokens
            assert script.end(number).reason == plain.end(number).reason
