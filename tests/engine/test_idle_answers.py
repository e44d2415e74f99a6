"""Answers that nobody waits for (those of a batch): they write only in steps that would otherwise be empty."""

from __future__ import annotations

from tests.engine.house import House, alone
from webui.types import Priority


def test_idle_answers_leave_every_step_to_others_and_go_on_afterwards() -> None:
    house = House(slots=4, kv=800)
    night = [house.ask([number + 1] * 20, owner="batch", priority=Priority.IDLE, answer=40) for number in range(3)]
    for _ in range(5):
        house.step()
    written = [sequence.num_completion_tokens for sequence in night]
    assert any(written)
    person = house.ask([9] * 30, owner="ann", answer=10)
    program = house.ask([8] * 30, owner="bob", priority=Priority.API, answer=10)
    while person not in house.ended or program not in house.ended:
        assert {chunk.sequence for chunk in house.step()} <= {person, program}
    assert [sequence.num_completion_tokens for sequence in night] == written
    house.run()
    assert all(each.tokens == alone([number + 1] * 20, 40) for number, each in enumerate(night))


def test_idle_answers_give_their_places_to_people() -> None:
    house = House(slots=2, kv=400)
    for number in range(4):
        house.ask([number + 1] * 20, owner="batch", priority=Priority.IDLE, answer=20)
    house.step()
    people = [house.ask([50 + number] * 20, owner=f"person {number}", answer=5) for number in range(2)]
    assert {chunk.sequence for chunk in house.step()} == set(people)
    house.run()
    assert len(house.ended) == 6


def test_steps_are_short_while_an_idle_answer_is_there() -> None:
    house = House(slots=2, kv=400)
    draft = house.ask([7] * 20, owner="ann", priority=Priority.IDLE, answer=0)
    house.step()
    assert draft in house.ended
    assert not house.scheduler.is_crowded
    house.ask([1] * 20, owner="batch", priority=Priority.IDLE, answer=5)
    house.step()
    assert house.scheduler.is_crowded
