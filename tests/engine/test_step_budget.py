"""How many prompt tokens a step reads, so that nobody waits long for its end."""

from __future__ import annotations

from webui.engine.step_budget import LEAST_TOKENS, SECONDS_ALONE, SECONDS_BESIDE_STREAMS, StepBudget


def learned(tokens_per_second: float, *, most: int = 512) -> StepBudget:
    budget = StepBudget(most)
    for _ in range(20):
        budget.observe(128, 128 / tokens_per_second)
    return budget


def test_a_step_beside_a_stream_takes_a_quarter_of_a_second() -> None:
    assert learned(400).tokens(has_streams=True) == int(400 * SECONDS_BESIDE_STREAMS)


def test_with_nobody_listening_a_step_may_take_longer_but_still_ends_in_good_time() -> None:
    assert learned(400).tokens(has_streams=False) == int(400 * SECONDS_ALONE)


def test_a_fast_machine_fills_the_batch_and_a_slow_one_still_reads_in_chunks() -> None:
    assert learned(10_000).tokens(has_streams=True) == 512
    assert learned(5).tokens(has_streams=True) == LEAST_TOKENS


def test_before_anything_was_measured_it_starts_small() -> None:
    assert StepBudget(512).tokens(has_streams=False) == 128
    assert StepBudget(64).tokens(has_streams=False) == 64


def test_steps_that_only_write_say_nothing_about_reading() -> None:
    budget = learned(400)
    budget.observe(8, 10.0)
    assert budget.tokens(has_streams=True) == 100
