"""Speculation on machines that are only arithmetic here: what a step costs by its size, how often guesses are right.

Each machine decodes once with guesses and once plainly; what is compared is the time both take for the same tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.engine.acceptance import Acceptance
from webui.engine.context_size import SPARE_OUTPUTS
from webui.engine.speculation import MAX_DRAFT, Offer, Speculation
from webui.engine.step_costs import MAX_SIZE, StepCosts

Table = dict[int, float]
Odds = Callable[[int], float]  #: the probability that a guess at this place of the answer is right

SMALL: Table = {1: 5.0, 2: 10.5, 4: 15.4, 8: 23.6, 16: 40.0}  #: SmolLM2 on two cores, ms: bound by arithmetic
BIG: Table = {1: 100.0, 2: 101.0, 4: 103.0, 8: 108.0, 16: 118.0, 32: 140.0}  #: bound by memory
LINEAR: Table = {1: 10.0, 2: 20.0, 40: 400.0}  #: nothing can be won
AWFUL: Table = {1: 5.0, 2: 20.0, 4: 60.0, 8: 200.0, 16: 600.0}


def step_cost(table: Table, size: int) -> float:
    """Seconds of a step, between and beyond the table's sizes by straight lines."""
    sizes = sorted(table)
    right = next((known for known in sizes[1:] if known >= size), sizes[-1])
    left = sizes[sizes.index(right) - 1]
    return (table[left] + (table[right] - table[left]) * (size - left) / (right - left)) / 1000


def speedup(table: Table, odds: Odds, *, seed: int = 0, num_tokens: int = 1500, num_writers: int = 1) -> float:
    """How many times as fast as plain decoding: one sequence that always has a guess, beside others that have none."""
    rng = random.Random(seed)
    speculation = Speculation()
    spent = plain = 0.0
    num_done = num_shadowed = 0
    while num_done < num_tokens:
        (length,) = speculation.plan([Offer("me", MAX_DRAFT)], num_writers)
        num_right = 0
        while num_right < length and rng.random() < odds(num_done + num_right):
            num_right += 1
        seconds = step_cost(table, num_writers + length) * rng.uniform(0.9, 1.1)
        speculation.observe_step(num_writers + length, seconds, num_drafted=length, num_accepted=num_right)
        if length:
            speculation.observe_draft("me", length, num_right)
        elif rng.random() < odds(num_done):  # what is not in the step is compared all the same
            num_shadowed += 1
        else:
            speculation.observe_draft("me", MAX_DRAFT, num_shadowed)
            num_shadowed = 0
        if num_shadowed == MAX_DRAFT:
            speculation.observe_draft("me", MAX_DRAFT, MAX_DRAFT)
            num_shadowed = 0
        spent += seconds
        plain += step_cost(table, num_writers) * (1 + num_right / num_writers)
        num_done += 1 + num_right
    return plain / spent


# --- what is won -----------------------------------------------------------------------------------------------------


def test_a_small_model_gains_where_nearly_all_guesses_are_right() -> None:
    runs = sorted(speedup(SMALL, lambda _: 0.95, seed=seed) for seed in range(11))
    assert runs[0] >= 1.2
    assert runs[5] >= 1.35
    assert speedup(SMALL, lambda _: 1.0) >= 1.85


def test_a_model_bound_by_memory_gains_early() -> None:
    assert speedup(BIG, lambda _: 0.3) >= 1.2
    assert speedup(BIG, lambda _: 0.7) >= 2.2
    assert speedup(BIG, lambda _: 0.95) >= 6


def test_others_in_the_batch_leave_less_to_gain_and_lose_nothing() -> None:
    assert speedup(BIG, lambda _: 0.95, num_writers=4) >= 1.1
    for table in (SMALL, BIG, LINEAR, AWFUL):
        for num_writers in (2, 4, 8):
            assert speedup(table, lambda _: 0.7, num_writers=num_writers) >= 0.97


# --- what is lost ----------------------------------------------------------------------------------------------------

MOODS: list[Odds] = [
    lambda _: 0.0,
    lambda place: 0.98 if place // 30 % 2 else 0.0,
    lambda place: 1.0 if place // 8 % 2 else 0.0,
    lambda place: 1.0 if place < 500 else 0.0,
    lambda place: 0.0 if place < 700 else 1.0,
]


@pytest.mark.parametrize("table", [SMALL, BIG, LINEAR, AWFUL])
@pytest.mark.parametrize("mood", range(len(MOODS)))
def test_guesses_whose_luck_turns_cost_next_to_nothing(table: Table, mood: int) -> None:
    assert speedup(table, MOODS[mood]) >= 0.97


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.floats(1.0, 3.0), min_size=5, max_size=5),
    odds=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6),
    seed=st.integers(0, 2**16),
)
def test_no_machine_and_no_luck_makes_it_slower(steps: list[float], odds: list[float], seed: int) -> None:
    """Each doubling of the step costs 1 to 3 times as much; the odds change every 100 tokens."""
    table, cost = {}, 10.0
    for exponent, factor in enumerate(steps):
        table[2**exponent] = cost
        cost *= factor
    assert speedup(table, lambda place: odds[place // 100 % len(odds)], seed=seed) >= 0.97


# --- choices ---------------------------------------------------------------------------------------------------------


def taught(table: Table = SMALL, *, right: int = 14, proposed: int = 15, key: str = "me") -> Speculation:
    """Knows what steps cost, and how good the guesses of `key` are."""
    speculation = Speculation()
    for size, milliseconds in table.items():
        for _ in range(3):
            speculation.observe_step(size, milliseconds / 1000)
    for _ in range(3):
        speculation.observe_step(1, table[1] / 1000)
    for _ in range(40):
        speculation.observe_draft(key, proposed, right)
    return speculation


def test_nothing_is_guessed_before_a_plain_step_is_measured() -> None:
    assert Speculation().draft_length("me", 0) == 0


def test_better_guesses_are_taken_further() -> None:
    lengths = [taught(BIG, right=right, proposed=right + 1).draft_length("me", 0) for right in (0, 1, 3, 9, 30)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 4
    assert lengths[-1] == MAX_DRAFT


def test_bad_guesses_are_not_taken() -> None:
    assert taught(SMALL, right=1, proposed=2).draft_length("me", 0) == 0


def test_a_guess_that_costs_as_much_as_it_saves_is_not_made() -> None:
    speculation = taught(BIG)
    assert speculation.plan([Offer("me", 15)], 1)[0] > 8
    assert speculation.plan([Offer("me", 15, seconds_per_token=0.1)], 1) == [0]


def test_who_has_no_guess_is_not_slowed_down() -> None:
    speculation = taught(SMALL)
    for _ in range(5):
        speculation.observe_step(4, 0.0154)
    assert speculation.draft_length("me", 0) > 0
    assert speculation.draft_length("me", 3) == 0


def test_the_better_guess_gets_the_longer_draft() -> None:
    speculation = taught(BIG)
    for _ in range(40):
        speculation.observe_draft("unlucky", 15, 0)
    for _ in range(3):
        speculation.observe_step(2, 0.101)
    lucky, unlucky = speculation.plan([Offer("me", 15), Offer("unlucky", 15)], 2)
    assert lucky > 2 * unlucky


def test_no_longer_than_what_is_offered() -> None:
    assert taught(BIG).plan([Offer("me", 3)], 1) == [3]
    assert taught(BIG).plan([], 1) == []


def test_a_new_sequence_starts_with_what_the_others_taught() -> None:
    speculation = taught(BIG)
    assert speculation.draft_length("new", 0) > 5
    speculation.forget("me")
    assert speculation.draft_length("me", 0) == speculation.draft_length("new", 0)


def test_wrong_guesses_stop_it_for_a_while() -> None:
    speculation = taught(SMALL)
    length = speculation.draft_length("me", 0)
    for _ in range(40):
        speculation.observe_step(1 + length, 0.025, num_drafted=length, num_accepted=0)
    for _ in range(3):
        speculation.observe_step(1, 0.005)
    assert speculation.draft_length("me", 0) == 0, "although the odds still say that it would pay"


def test_a_machine_that_is_slow_for_a_moment_is_no_reason_to_stop() -> None:
    speculation = taught(SMALL)
    length = speculation.draft_length("me", 0)
    usual = step_cost(SMALL, 1 + length)
    for _ in range(20):
        speculation.observe_step(1 + length, usual, num_drafted=length, num_accepted=length)
    speculation.observe_step(1 + length, 100 * usual, num_drafted=length, num_accepted=length)
    speculation.observe_step(1 + length, usual, num_drafted=length, num_accepted=length)
    speculation.observe_step(1, 0.005)
    assert speculation.draft_length("me", 0) > 0


def test_no_more_is_guessed_than_a_batch_has_rows_for() -> None:
    speculation = taught(BIG, right=15)
    for _ in range(5):
        speculation.observe_step(4, 0.103)
    for name in ("you", "her", "him"):
        for _ in range(40):
            speculation.observe_draft(name, 15, 15)
    offers = [Offer(name, 15) for name in ("me", "you", "her", "him")]
    assert sum(speculation.plan(offers, 4)) == SPARE_OUTPUTS


def test_now_and_then_a_plain_step_shows_what_it_saves() -> None:
    speculation = taught(BIG, right=15)
    lengths = []
    for _ in range(200):
        lengths.append(speculation.draft_length("me", 0))
        speculation.observe_step(1 + lengths[-1], 0.118, num_drafted=lengths[-1], num_accepted=lengths[-1])
    assert 2 <= lengths.count(0) <= 6


# --- costs and odds --------------------------------------------------------------------------------------------------


def test_costs_between_measured_sizes_lie_on_a_line() -> None:
    costs = StepCosts()
    for size, seconds in ((1, 5.0), (4, 8.0), (12, 16.0)):
        for _ in range(2):
            costs.observe(size, seconds)
    table = costs.table()
    assert [table[size] for size in (1, 2, 3, 4, 8, 12)] == [5.0, 6.0, 7.0, 8.0, 12.0, 16.0]
    assert 16 < table[16] < 20, "what is bigger is worth a trial"
    assert len(table) == MAX_SIZE + 1


def test_a_size_in_between_costs_as_much_as_the_next_four_rows_until_it_is_measured() -> None:
    costs = StepCosts()
    for size, seconds in ((1, 8.0), (4, 32.0), (8, 49.0), (6, 47.0), (7, 58.0)):
        for _ in range(2):
            costs.observe(size, seconds)
    assert costs.table()[5:9] == [49.0, 47.0, 58.0, 49.0]


def test_one_hiccup_is_not_what_a_step_costs() -> None:
    costs = StepCosts()
    for seconds in (9.0, 1.0, 1.0, 1.0, 50.0):
        costs.observe(1, seconds)
    assert costs.table()[1] < 1.2


def test_a_single_step_proves_nothing() -> None:
    costs = StepCosts()
    costs.observe(8, 1.0)
    assert costs.age(8) is None
    assert costs.largest == 0


def test_what_was_measured_long_ago_is_measured_again() -> None:
    costs = StepCosts()
    for size in (8, 8, *[1] * 3000):
        costs.observe(size, float(size))
    assert costs.age(8) is None
    assert costs.table()[8] < 8
    assert costs.age(1) == 0


@given(st.lists(st.tuples(st.integers(0, MAX_SIZE + 5), st.floats(1e-4, 10)), max_size=80))
def test_a_cost_is_never_beyond_all_that_was_measured_but_above(steps: list[tuple[int, float]]) -> None:
    costs = StepCosts()
    for size, seconds in steps:
        costs.observe(size, seconds)
    table = costs.table()
    assert min(table) >= min((seconds for _, seconds in steps), default=0) * 0.999 or max(table) == 0
    assert max(table[: costs.largest + 1]) <= max((seconds for _, seconds in steps), default=0) * 3


def test_the_odds_of_the_first_token_and_of_the_next_ones_are_apart() -> None:
    acceptance = Acceptance()
    for accepted in [0, 8] * 50:
        acceptance.observe("me", 8, accepted, kind=0)
    first, later = acceptance.odds("me", kind=0)
    assert 0.4 < first < 0.6
    assert later > 0.9


def test_the_odds_follow_a_sequence_that_changes() -> None:
    acceptance = Acceptance()
    for accepted in [4] * 100 + [0] * 100:
        acceptance.observe("me", 4, accepted, kind=0)
    assert acceptance.odds("me", kind=0)[0] < 0.1


def test_kinds_of_guesses_do_not_stand_up_for_each_other() -> None:
    acceptance = Acceptance()
    for _ in range(50):
        acceptance.observe("me", 4, 4, kind=1)
    assert acceptance.odds("me", kind=2) == acceptance.odds("nobody", kind=3) == (0.5, 0.5)
