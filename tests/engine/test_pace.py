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


def test_all_the_threads_are_taken_even_where_they_gain_little() -> None:
    pace = Pace(2)
    run(pace, lambda threads, tokens: tokens * (0.0055 if threads == 2 else 0.006), seconds=1)
    assert pace.threads == 2


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


def test_after_a_rest_the_neighbours_are_judged_anew() -> None:
    pace = Pace(2)
    run(pace, busy, seconds=60)
    assert (pace.threads, pace.threads_for(100)) == (1, 1)
    pace.rest()
    assert pace.threads_for(100) == 2, "reading takes all the threads until writing says otherwise again"
    run(pace, quiet, seconds=2)
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


# --- reading a prompt ----------------------------------------------------------------------------------------------

LONG = 256


def read(pace: Pace, machine: Machine, *, steps: int) -> float:
    """Compute long steps; returns the tokens a second."""
    spent = 0.0
    for _ in range(steps):
        duration = machine(pace.threads_for(LONG), LONG)
        pace.observe(LONG, duration)
        spent += duration
    return steps * LONG / spent


def crowded(threads: int, tokens: int) -> float:
    """Many programs want the two cores: long steps suffer too."""
    return tokens * (0.025 if threads == 2 else 0.011) / (10 if tokens > MOST_TOKENS else 1)


def busy_for_short_steps(threads: int, tokens: int) -> float:
    """One other program: in a long step the second thread still helps."""
    return busy(threads, tokens) if tokens <= MOST_TOKENS else tokens * (0.0008 if threads == 2 else 0.0011)


def test_the_first_prompt_is_read_with_all_the_threads() -> None:
    pace = Pace(2)
    assert pace.threads_for(MOST_TOKENS + 1) == 2
    assert pace.threads_for(MOST_TOKENS) == pace.threads == 1, "where writing begins"
    for _ in range(100):
        pace.observe(LONG, 10.0)
    assert pace.threads_for(LONG) == 2, "how long a prompt takes alone says nothing"


def test_reading_steps_back_after_writing_has() -> None:
    pace = Pace(2)
    run(pace, crowded, seconds=2)
    assert pace.threads_for(LONG) == 1
    assert read(pace, crowded, steps=200) > 0.9 / 0.0011


def test_reading_goes_on_with_all_the_threads_where_that_is_faster() -> None:
    pace = Pace(2)
    run(pace, busy_for_short_steps, seconds=2)
    assert pace.threads == 1
    assert read(pace, busy_for_short_steps, steps=60) > 0.9 / 0.0008
    assert (pace.threads, pace.threads_for(LONG)) == (1, 2)


def test_reading_returns_with_writing() -> None:
    pace = Pace(2)
    run(pace, crowded, seconds=2)
    read(pace, crowded, steps=6)
    assert pace.threads_for(LONG) == 1
    run(pace, quiet, seconds=20)
    assert pace.threads_for(LONG) == 2


def test_a_trial_of_writing_does_not_hurry_those_who_read() -> None:
    pace = Pace(2)
    run(pace, crowded, seconds=2)
    while pace.threads == 1:  # until writing tries all the threads again
        pace.observe(1, crowded(1, 1))
    assert pace.threads_for(LONG) == 1


def test_one_thread_stays_one() -> None:
    pace = Pace(1)
    run(pace, busy, seconds=5)
    assert pace.threads == 1


def test_it_asks_for_steps_of_one_size_while_it_compares() -> None:
    pace = Pace(2)
    assert pace.is_measuring, "it has still to find out what is faster"
    run(pace, quiet, seconds=2)
    assert (pace.threads, pace.is_measuring) == (2, False)


def test_patience_runs_out_also_in_steps_that_cannot_be_compared() -> None:
    pace = Pace(2)
    run(pace, busy, seconds=10)
    while pace.is_measuring:
        pace.observe(1, busy(pace.threads, 1))
    for _ in range(200):
        pace.pass_time(0.1)
    assert pace.is_measuring
    run(pace, quiet, seconds=2)
    assert pace.threads == 2


def test_one_thread_is_never_in_doubt() -> None:
    assert not Pace(1).is_measuring
