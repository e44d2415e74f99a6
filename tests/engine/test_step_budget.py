"""How many tokens a step has, so that nobody waits long for its end."""

from __future__ import annotations

import pytest

from webui.engine.step_budget import (
    LEAST_TOKENS,
    MOST_SECONDS_OF_ONE,
    SECONDS_ALONE,
    SECONDS_IN_CROWD,
    SECONDS_OF_ONE,
    StepBudget,
)

NEAR = 16  #: half the steps in which a chunk grows


def learned(tokens_per_second: float, *, most: int = 512, splits_writers: bool = False) -> StepBudget:
    budget = StepBudget(most, splits_writers=splits_writers)
    for _ in range(20):
        budget.observe(128, 128 / tokens_per_second)
    return budget


def test_a_step_takes_so_long_that_streams_hardly_stand_still() -> None:
    assert learned(366).tokens(num_writers=1, is_crowded=False) - 1 == pytest.approx(366 * SECONDS_OF_ONE, abs=NEAR)


def test_while_nobody_writes_a_step_may_take_longer() -> None:
    assert learned(366).tokens(num_writers=0, is_crowded=False) == pytest.approx(366 * SECONDS_ALONE, abs=NEAR)


def test_in_a_crowd_nobody_waits_long_for_the_end_of_a_step() -> None:
    for num_writers in (0, 7):
        tokens = learned(400).tokens(num_writers=num_writers, is_crowded=True)
        assert tokens - num_writers == pytest.approx(400 * SECONDS_IN_CROWD, abs=NEAR)


def test_what_is_read_is_of_a_size_that_is_read_fast() -> None:
    for speed in range(100, 1300, 50):
        assert learned(speed).tokens(num_writers=3, is_crowded=False) % 32 == 3


def test_where_writers_are_computed_apart_the_rest_of_the_reader_is_of_such_a_size() -> None:
    budget = learned(366, splits_writers=True)
    assert budget.tokens(num_writers=3, is_crowded=False) % 32 == 4
    assert budget.tokens(num_writers=0, is_crowded=False) % 32 == 0


def test_a_fast_machine_fills_the_batch_and_a_slow_one_still_reads_in_chunks() -> None:
    assert learned(10_000).tokens(num_writers=1, is_crowded=True) == 512
    assert learned(5).tokens(num_writers=0, is_crowded=True) == LEAST_TOKENS


def test_before_anything_was_measured_it_starts_small() -> None:
    assert StepBudget(512).tokens(num_writers=0, is_crowded=False) == 128
    assert StepBudget(64).tokens(num_writers=0, is_crowded=False) == 64


def test_steps_that_only_write_say_nothing_about_reading() -> None:
    budget = learned(400)
    before = budget.tokens(num_writers=0, is_crowded=True)
    budget.observe(8, 10.0)
    assert budget.tokens(num_writers=0, is_crowded=True) == before


@pytest.mark.parametrize(
    ("pass_seconds", "step_seconds"), [(0.007, SECONDS_OF_ONE), (0.033, 0.66), (0.2, MOST_SECONDS_OF_ONE)]
)
def test_beside_writers_a_step_reads_more_where_a_pass_over_the_weights_takes_long(
    pass_seconds: float, step_seconds: float
) -> None:
    budget = learned(200)
    for _ in range(20):
        budget.observe(1, pass_seconds)
    assert budget.tokens(num_writers=1, is_crowded=False) - 1 == pytest.approx(200 * step_seconds, abs=NEAR)
    assert budget.tokens(num_writers=1, is_crowded=True) - 1 == pytest.approx(200 * SECONDS_IN_CROWD, abs=NEAR)
