"""How many prompt tokens a step reads, so that nobody waits long for its end."""

from __future__ import annotations

from webui.engine.step_budget import LEAST_TOKENS, SECONDS_IN_CROWD, SECONDS_OF_ONE, StepBudget


def learned(tokens_per_second: float, *, most: int = 512) -> StepBudget:
    budget = StepBudget(most)
    for _ in range(20):
        budget.observe(128, 128 / tokens_per_second)
    return budget


def test_a_step_takes_so_long_that_streams_hardly_stand_still() -> None:
    assert learned(366).tokens(is_crowded=False) == 128 == int(366 * SECONDS_OF_ONE)


def test_long_chunks_are_of_a_size_that_is_read_fast() -> None:
    assert {learned(speed).tokens(is_crowded=False) % 64 for speed in range(300, 1400, 50)} == {0}


def test_in_a_crowd_nobody_waits_long_for_the_end_of_a_step() -> None:
    assert learned(400).tokens(is_crowded=True) == int(400 * SECONDS_IN_CROWD)


def test_a_fast_machine_fills_the_batch_and_a_slow_one_still_reads_in_chunks() -> None:
    assert learned(10_000).tokens(is_crowded=True) == 512
    assert learned(5).tokens(is_crowded=True) == LEAST_TOKENS


def test_before_anything_was_measured_it_starts_small() -> None:
    assert StepBudget(512).tokens(is_crowded=False) == 128
    assert StepBudget(64).tokens(is_crowded=False) == 64


def test_steps_that_only_write_say_nothing_about_reading() -> None:
    budget = learned(400)
    budget.observe(8, 10.0)
    assert budget.tokens(is_crowded=True) == int(400 * SECONDS_IN_CROWD)
