"""The scheduler over a fake memory: fair, bounded, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.fake_runner import FakeRunner
from tests.engine.house import House, alone, counts_of
from webui.engine.kv_cells import KvCells
from webui.engine.parking import Parking
from webui.engine.prefix_cache import PrefixCache
from webui.engine.saved_states import SavedStates
from webui.engine.scheduler import PREFILL_QUANTUM
from webui.engine.sequence import Sequence
from webui.engine.slots import SlotTable
from webui.engine.waiting import MAX_WAITING
from webui.errors import ContextTooLong
from webui.types import EngineOptions, Priority

# --- a step ----------------------------------------------------------------------------------------------------------


def test_a_stream_does_not_stall_behind_a_long_paste() -> None:
    house = House(kv=2000, context=1000, batch=64)
    talker = house.ask([1, 2, 3], answer=50)
    house.step()
    paste = house.ask(list(range(500)), answer=1)
    for _ in range(7):
        assert counts_of(house.step()) == {talker: 1, paste: 63}


def test_two_people_who_read_share_the_step_by_tokens_not_by_requests() -> None:
    house = House(slots=4, kv=8000, context=2000, batch=512)
    greedy = [house.ask([index] * 1000, owner="greedy") for index in range(3)]
    modest = house.ask([9] * 1000, owner="modest")
    counts = counts_of(house.step())
    assert counts[modest] == 256
    assert sum(counts.get(sequence, 0) for sequence in greedy) == 256


def test_a_person_is_served_before_a_program_but_the_program_is_not_forgotten() -> None:
    house = House(slots=2, kv=20_000, context=9000, batch=512)
    program = house.ask([1] * 8000, owner="script", priority=Priority.BACKGROUND)
    house.step()
    person = house.ask([2] * 8000, owner="ann")
    counts: Counter[Sequence] = Counter()
    for _ in range(15):
        counts.update(counts_of(house.step()))
    assert counts[person] > 10 * counts[program] > 0


def test_who_floods_the_queue_waits_behind_who_comes_with_one_question() -> None:
    house = House(slots=2, kv=4000, context=500)
    flood = [house.ask([index] * 100, owner="flood", answer=20) for index in range(20)]
    house.step()
    guest = house.ask([99] * 100, owner="guest")
    assert house.scheduler.waiting_order()[0] is guest
    house.run()
    assert house.ended.index(guest) <= 2
    assert len(house.ended) == len(flood) + 1


def test_the_order_in_which_people_wait_is_the_order_in_which_they_are_admitted() -> None:
    house = House(slots=1, kv=4000, context=500)
    house.ask([1] * 10, owner="a")
    house.step()
    for index in range(6):
        house.ask([index + 2] * (40 + 20 * (index % 2)), owner="ab"[index % 2])
    order = house.scheduler.waiting_order()
    house.run()
    assert house.ended[1:] == order


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_prompt_that_fills_the_context_is_refused_with_both_numbers() -> None:
    house = House(context=50)
    with pytest.raises(ContextTooLong) as refusal:
        house.ask([1] * 50)
    assert refusal.value.details == {"prompt_tokens": 50, "context_tokens": 50}
    assert not house.scheduler.has_work


def test_an_answer_that_reaches_the_context_ends_there() -> None:
    house = House(context=50)
    sequence = house.ask([1] * 49, answer=1000)
    house.run()
    assert sequence.num_tokens == 50


def test_the_queue_is_bounded() -> None:
    house = House(slots=1)
    for index in range(MAX_WAITING):
        assert not house.scheduler.is_full
        house.ask([index])
    assert house.scheduler.is_full


# --- the prefix cache ------------------------------------------------------------------------------------------------


def test_a_conversation_that_goes_on_computes_only_what_is_new() -> None:
    house = House(kv=1000, context=500)
    first = house.ask([1] * 100, answer=5)
    house.run()
    house.runner.num_computed = 0
    second = house.ask([*first.tokens, 7, 8, 9], answer=1)
    house.run()
    assert second.num_cached_tokens == 104  # all that was computed; the answer's last token never was
    assert house.runner.num_computed == 4


def test_the_same_prompt_again_computes_one_token() -> None:
    house = House(kv=1000, context=500)
    house.ask([1] * 100)
    house.run()
    house.runner.num_computed = 0
    again = house.ask([1] * 100, answer=1)
    house.run()
    assert (again.num_cached_tokens, house.runner.num_computed) == (99, 1)


def test_two_conversations_share_the_cells_of_their_common_beginning() -> None:
    house = House(kv=1000, context=500)
    one = house.ask([1] * 100, owner="ann", answer=50)
    while not one.is_running:
        house.step()
    two = house.ask([1] * 90 + [2] * 10, owner="bob", answer=50)
    house.step()
    assert two.num_cached_tokens == 90
    assert house.scheduler.kv_used == 100 + 1 + 10
    house.run()
    assert two.tokens == alone([1] * 90 + [2] * 10, 50)


def test_a_memory_that_cannot_be_trimmed_is_read_again_and_still_right() -> None:
    house = House(kv=1000, context=500, can_trim=False)
    house.ask([1] * 100, answer=5)
    house.run()
    regenerated = house.ask([1] * 100, answer=5)
    house.run()
    assert regenerated.num_cached_tokens == 0
    assert regenerated.tokens == alone([1] * 100, 5)


def test_a_memory_that_cannot_be_trimmed_still_continues_an_exact_beginning() -> None:
    house = House(kv=1000, context=500, can_trim=False)
    first = house.ask([1] * 100, answer=5)
    house.run()
    second = house.ask([*first.tokens, 7, 8], answer=1)
    house.run()
    assert second.num_cached_tokens == 104


# --- a full memory ---------------------------------------------------------------------------------------------------


def test_idle_prefixes_make_room_before_anybody_is_interrupted() -> None:
    house = House(slots=3, kv=200, context=200)
    house.ask([1] * 90)
    house.run()
    house.ask([2] * 90)
    house.run()
    large = house.ask([3] * 150, answer=10)
    house.run()
    assert large.tokens == alone([3] * 150, 10)
    assert house.scheduler.kv_used <= 200


def test_of_idle_prefixes_the_one_unused_for_longest_goes_first() -> None:
    house = House(slots=3, kv=200, context=200)
    used = house.ask([1] * 80, answer=2)
    house.run()
    house.ask([2] * 80, answer=2)
    house.run()
    used = house.ask([*used.tokens, 5], answer=2)
    house.run()
    house.ask([3] * 100, owner="somebody else", answer=2)
    house.run()
    again = house.ask([*used.tokens, 5], answer=2)
    house.run()
    assert again.num_cached_tokens == used.num_tokens - 1
    assert house.ask([2] * 81, answer=1).num_cached_tokens == 0


def test_the_youngest_gives_way_and_still_says_the_same() -> None:
    house = House(slots=2, kv=100, context=100)
    old = house.ask([1] * 40, answer=40)
    young = house.ask([2] * 40, answer=40)
    house.run()
    assert house.ended == [old, young]
    assert old.tokens == alone([1] * 40, 40)
    assert young.tokens == alone([2] * 40, 40)


# --- whatever comes --------------------------------------------------------------------------------------------------

arrivals = st.lists(
    st.tuples(
        st.integers(0, 3),  # steps before it comes
        st.integers(1, 60),  # prompt
        st.integers(1, 30),  # answer
        st.sampled_from(["ann", "bob", "eve"]),
        st.sampled_from(list(Priority)),
        st.one_of(st.none(), st.integers(0, 20)),  # cancelled after so many steps
        st.integers(0, 2),  # which common beginning
    ),
    max_size=15,
)


@settings(max_examples=150, deadline=None)
@given(arrivals, st.integers(1, 4), st.integers(64, 160), st.sampled_from([4, 16, 64]), st.booleans())
def test_everybody_ends_exactly_once_with_the_right_words(
    plan: list[tuple[int, int, int, str, Priority, int | None, int]], slots: int, kv: int, batch: int, can_trim: bool
) -> None:
    house = House(slots=slots, kv=kv, context=100, batch=batch, can_trim=can_trim)
    leaving: list[tuple[int, Sequence]] = []
    prompts: dict[Sequence, list[int]] = {}
    cancelled: set[Sequence] = set()
    clock = 0

    def pass_time(steps: int) -> None:
        nonlocal clock
        for _ in range(steps):
            clock += 1
            for when, sequence in leaving:
                if when <= clock and sequence not in house.ended:
                    cancelled.add(sequence)
                    house.end(sequence)
            if house.scheduler.has_work:
                house.step()

    for pause, length, answer, owner, priority, patience, beginning in plan:
        pass_time(pause)
        prompt = [beginning] * (length // 2) + list(range(length - length // 2))
        if len(prompt) >= house.scheduler.max_tokens:
            continue
        sequence = house.ask(prompt, owner=owner, priority=priority, answer=answer)
        prompts[sequence] = prompt
        if patience is not None:
            leaving.append((clock + patience, sequence))
    pass_time(21)
    house.run(max_steps=3000)

    assert Counter(house.ended) == Counter(prompts.keys()), "each ends exactly once"
    for sequence in prompts.keys() - cancelled:
        length = min(house.wanted[sequence], house.scheduler.max_tokens - len(prompts[sequence]))
        assert sequence.tokens == alone(prompts[sequence], length)
    assert house.scheduler.num_running == house.scheduler.num_waiting == 0
    largest = house.ask([77] * (house.scheduler.max_tokens - 1), answer=1)  # no slot and no cell has leaked
    house.run(max_steps=200)
    assert largest in house.ended


@pytest.mark.parametrize("parked_bytes", [0, 10**6])
def test_no_class_starves_while_others_keep_coming(parked_bytes: int) -> None:
    house = House(slots=2, kv=1000, context=200, batch=64, parked_bytes=parked_bytes)
    patient = house.ask([5] * 50, owner="night job", priority=Priority.BACKGROUND)
    for index in range(200):
        house.ask([index] * 30, owner=f"guest {index}", answer=2)
        house.step()
        if patient in house.ended:
            break
    assert patient in house.ended


def test_the_quantum_is_small_beside_a_step() -> None:
    assert EngineOptions(context_tokens=1, kv_tokens=1, num_slots=1).batch_tokens >= 4 * PREFILL_QUANTUM


# --- places ----------------------------------------------------------------------------------------------------------


def test_who_comes_with_one_question_need_not_wait_for_the_end_of_somebodys_fifty() -> None:
    house = House(slots=4, kv=4 * 400, context=400, layout="separate", parked_bytes=10**6)
    flood = [house.ask([index] * 200, owner="ann", answer=100) for index in range(20)]
    for _ in range(40):
        house.step()
    question = house.ask([99] * 100, owner="bob")
    steps = 0
    while not question.num_completion_tokens:
        house.step()
        steps += 1
    assert steps <= 4, "a hundred tokens at 64 a step, beside three who write"
    house.run()
    assert all(each.tokens == alone([index] * 200, 100) for index, each in enumerate(flood))


def test_a_step_that_ends_somebodys_short_question_is_not_made_longer_by_a_flood() -> None:
    house = House(slots=4, kv=4 * 4000, context=4000, batch=512, layout="separate", parked_bytes=10**6)
    for index in range(3):
        house.ask([index] * 3500, owner="ann")
    for _ in range(8):
        house.step()
    question = house.ask([99] * 100, owner="bob")
    counts = counts_of(house.step())
    assert counts.pop(question) == 100
    assert set(counts.values()) <= {1}, "who writes goes on, who reads waits"


def test_those_who_let_somebody_read_for_them_are_no_crowd() -> None:
    house = House(slots=4, kv=4 * 400, context=400, layout="separate")
    for number in range(3):
        house.ask([5] * 200 + [number], owner=str(number))
    house.step()
    assert not house.scheduler.is_crowded
    house.ask([6] * 200, owner="another")
    house.step()
    assert house.scheduler.is_crowded


def test_a_program_gives_a_place_to_a_person() -> None:
    house = House(slots=1, kv=400, context=400, layout="separate", parked_bytes=10**6)
    program = house.ask([1] * 50, owner="tool", priority=Priority.API, answer=100)
    for _ in range(10):
        house.step()
    person = house.ask([2] * 50, owner="ann")
    house.step()
    assert person.slot is not None
    house.run()
    assert program.tokens == alone([1] * 50, 100)


def test_two_people_of_whom_each_has_one_place_do_not_take_it_from_each_other() -> None:
    house = House(slots=2, kv=800, context=400, layout="separate", parked_bytes=10**6)
    ann, bob = (house.ask([number] * 50, owner=name, answer=60) for number, name in enumerate(("ann", "bob")))
    house.step()
    house.ask([7] * 50, owner="eve", answer=60)
    while ann not in house.ended and bob not in house.ended:
        house.step()
    assert house.scheduler.num_preempted == 0


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_those_who_write_on_come_together_when_others_have_left() -> None:
    house = House(slots=5, kv=5 * 400, context=400, layout="separate", parked_bytes=10**6)
    long = [house.ask([number] * 20, owner=str(number), answer=60 if number % 2 else 5) for number in range(5)]
    apart = {1, 3}
    while len(house.ended) < 3:
        house.step()
    assert {sequence.slot for sequence in long if sequence.slot is not None} == apart
    for _ in range(10):
        house.step()
    slots = sorted(sequence.slot for sequence in long if sequence.slot is not None)
    assert slots[1] - slots[0] == 1
    house.run()
    assert all(sequence.tokens == alone([number] * 20, 60 if number % 2 else 5) for number, sequence in enumerate(long))


def test_a_step_is_computed_in_the_order_of_slots() -> None:
    house = House(slots=4, kv=4 * 400, context=400, layout="separate", parked_bytes=10**6)
    for number in range(4):
        house.ask([number] * 20, owner=str(number), answer=5 + 3 * number)
    for number in range(4, 8):
        house.ask([number] * 20, owner=str(number), answer=30)
    while house.scheduler.has_work:
        slots = [chunk.slot for chunk in house.step()]
        assert slots == sorted(slots)


def test_who_has_read_nothing_yet_can_be_moved_too() -> None:
    runner = FakeRunner(EngineOptions(context_tokens=100, kv_tokens=200, num_slots=2, kv_layout="separate"))
    slots = SlotTable(2)
    cache = PrefixCache(slots, KvCells(200, 2), runner, SavedStates(Parking(0), None))
    sequence = Sequence(0, [1] * 20)
    slots.acquire(slots[1], sequence)
    assert cache.move(slots[1], slots[0])
    assert sequence.slot == 0
