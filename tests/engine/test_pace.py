"""The pace of an engine: which number of threads it settles on, for machines that are only arithmetic here."""

from __future__ import annotations

from collections.abc import Callable

from webui.engine.pace import MOST_TOKENS, Pace

Machine = Callable[[int, int], float]  # threads, tokens → seconds of a step


def quiet(threads: int, tokens: int) -> float:
    return tokens * 0.010 / threads


def busy(threads: int, tokens: int) -> float:
    """Somebody else has one of two cores: two threads wait for each other, one alone does not."""
    return tokens * (0.050 if threads == 2 else 0.011)


def run(pace: Pace, machine: Machine, *, seconds: float, tokens: int = 1) -> float:
    """Compute for a while; returns the steps a second."""
    spent, steps = 0.0, 0
    while spent < seconds:
        duration = machine(pace.threads, tokens)
        pace.observe(tokens, duration)
        spent += duration
        steps += 1
    return steps / spent


def test_a_quiet_machine_gets_all_the_threads() -> None:
    pace = Pace(2)
    run(pace, quiet, seconds=1)
    assert pace.threads == 2
    assert run(pace, quiet, seconds=60) > 0.999 / quiet(2, 1), "no trial without a reason"


def test_a_machine_that_is_busy_from_the_start_gets_one_less() -> None:
    pace = Pace(2)
    run(pace, busy, seconds=1)
    assert run(pace, busy, seconds=60) > 0.95 / busy(1, 1)


def test_it_steps_back_when_somebody_comes_and_returns_when_they_leave() -> None:
    pace = Pace(2)
    run(pace, quiet, seconds=5)
    run(pace, busy, seconds=2)
    assert pace.threads == 1
    run(pace, quiet, seconds=20)
    assert pace.threads == 2


def test_a_single_hiccup_changes_nothing_for_long() -> None:
    pace = Pace(4)
    run(pace, quiet, seconds=2)
    pace.observe(1, 0.5)
    run(pace, quiet, seconds=2)
    assert pace.threads == 4


def test_more_tokens_in_a_step_are_no_slowness() -> None:
    pace = Pace(2)
    run(pace, quiet, seconds=2)
    for _ in range(50):
        run(pace, quiet, seconds=0.05, tokens=8)
        assert pace.threads == 2


def test_a_trial_ends_when_somebody_joins() -> None:
    pace = Pace(2)
    while pace.threads == 1:
        pace.observe(1, 0.05)
    pace.observe(2, 0.05)
    assert pace.threads == 1, "undecided: back to what it was"


def test_a_lost_trial_is_over_after_one_bad_step() -> None:
    pace = Pace(2)
    while pace.threads == 1:
        pace.observe(1, 0.01)
    pace.observe(1, 2.0)
    assert pace.threads == 1


def test_reading_a_prompt_is_not_its_business() -> None:
    pace = Pace(2)
    before = pace.threads
    for _ in range(100):
        pace.observe(MOST_TOKENS + 1, 10.0)
    assert pace.threads == before


def test_one_thread_stays_one() -> None:
    pace = Pace(1)
    run(pace, busy, seconds=5)
    assert pace.threads == 1
