"""Random people over a scheduler and a fake memory, everything checked after every step; and what that has found.

`benchmarks/soak_scheduler` goes on for a million steps.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.fake_memory import answer
from tests.engine.simulation import Request, Simulation, World, random_world
from webui.engine.sequence import Sequence, Variant
from webui.types import LoraAdapter, Priority

# --- whatever comes --------------------------------------------------------------------------------------------------

worlds = st.builds(
    World,
    num_slots=st.integers(1, 6),
    context_tokens=st.integers(20, 200),
    kv_tokens=st.integers(200, 600),
    batch_tokens=st.sampled_from([2, 8, 32, 100]),
    shares_cells=st.booleans(),
    can_trim=st.booleans(),
    parked_bytes=st.sampled_from([0, 3000, 20_000]),
    has_files=st.booleans(),
    refusal=st.sampled_from([0.0, 0.1, 0.5]),
    accuracy=st.sampled_from([0.0, 0.7, 1.0]),
    bustle=st.sampled_from([0.02, 0.1, 0.3]),
)


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(0, 10_000))
def test_in_any_world_everybody_ends_once_with_the_right_words(world: World, seed: int) -> None:
    Simulation(world, random.Random(seed)).run(60)  # compares every answer, and the memory after every step


@pytest.mark.parametrize("seed", range(12))
def test_a_long_day_in_a_random_world(seed: int) -> None:
    rng = random.Random(seed)
    simulation = Simulation(random_world(rng), rng)
    simulation.run(500)
    assert simulation.ends.total() > 0


# --- what it has found -----------------------------------------------------------------------------------------------


class Story(Simulation):
    """A simulation in which nothing is left to chance: who asks is written down, and every guess is right."""

    def ask(
        self,
        prompt: list[int],
        num_wanted: int,
        *,
        conversation: str = "",
        priority: Priority = Priority.INTERACTIVE,
        variant: Variant = (),
        may_shift: bool = False,
    ) -> Request:
        self._num_asked += 1
        sequence = Sequence(
            self._num_asked, list(prompt), priority=priority, conversation=conversation, variant=variant
        )
        self.scheduler.add(sequence)
        request = self._open[sequence.request_id] = Request(sequence, prompt, num_wanted, may_shift)
        return request

    def finish(self, num_left: int = 0) -> None:
        while len(self._open) > num_left:
            self.step()

    def _guess(self, sequence: Sequence) -> list[int]:
        return answer(sequence.tokens, 5, sequence.variant) if self.world.accuracy == 1 else []


def story(**world: Any) -> Story:
    return Story(replace(World(refusal=0.0, bustle=0.0, accuracy=0.0), **world), random.Random(1))


def test_guesses_that_fill_the_context_leave_a_token_to_go_on_from() -> None:
    told = story(context_tokens=40, accuracy=1)
    request = told.ask([1, 2, 3], 60, may_shift=True)
    told.finish()
    assert request.was_shifted
    assert told.ends == {"done": 1}


def test_tokens_that_saw_what_is_forgotten_are_nobody_elses_prefix() -> None:
    told = story(context_tokens=100)
    request = told.ask([*range(60)], 90, conversation="a", may_shift=True)
    told.finish()
    assert request.was_shifted
    again = told.ask([*request.sequence.tokens[:-5], 1, 2], 5, conversation="a")
    told.finish()  # checks that below it lies what it would have computed itself
    assert again.sequence.num_cached_tokens < 5, "the beginning that was kept, and no more"


def test_idle_prefixes_make_room_for_a_state_that_comes_back() -> None:
    told = story(kv_tokens=300, context_tokens=200, num_slots=2)
    first = told.ask([1] * 150, 5, conversation="a")
    told.finish()
    told.ask([2] * 150, 5, conversation="b")
    told.finish()
    again = told.ask([*first.sequence.tokens, 3], 5, conversation="a")
    told.finish()
    assert again.sequence.num_cached_tokens == 154, "all that was computed of it, though b's tokens lay in the way"


def test_who_waited_for_a_reader_gets_a_place_though_idle_work_has_taken_them_all() -> None:
    told = story(num_slots=2, batch_tokens=8)
    told.ask([*range(60)], 5)
    told.step()
    follower = told.ask([*range(60)], 5)  # lets the first one read
    told.step()
    follower.sequence.is_paused = True
    told.finish(num_left=1)
    for draft in ([8] * 50, [9] * 50):
        told.ask(draft, 5, priority=Priority.IDLE)
    told.step()
    follower.sequence.is_paused = False
    told.finish()  # checks that in each step somebody does something
    assert told.ends == {"done": 4}


def test_a_full_memory_is_taken_from_who_is_paused_not_from_who_could_go_on() -> None:
    told = story(num_slots=2, kv_tokens=100, context_tokens=100, parked_bytes=0)
    paused = told.ask([1] * 60, 39)
    told.step()
    told.step()
    paused.sequence.is_paused = True
    told.ask([2] * 35, 10, priority=Priority.IDLE)  # there is room for it to begin, not to end
    told.finish(num_left=1)
    paused.sequence.is_paused = False
    told.finish()
    assert told.ends == {"done": 2}


def test_who_is_left_alone_goes_on_where_the_younger_one_has_made_room() -> None:
    for length in range(40, 50):  # whose turn it is when the memory is full: the adapters take turns
        told = story(num_slots=2, kv_tokens=100, context_tokens=100, parked_bytes=0)
        told.ask([1] * length, 30)
        told.ask([2] * 40, 30, variant=(LoraAdapter(path="poet.gguf"),))
        told.finish()
        assert told.ends == {"done": 2}
