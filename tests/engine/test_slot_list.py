"""What is told of slots: who computes in them and how far, nothing of what was said."""

from __future__ import annotations

from tests.engine.house import House
from webui.engine.slots import list_slots
from webui.types import Priority


def test_slots_tell_who_computes_in_them_and_what_was_left() -> None:
    house = House(slots=3, kv=300)
    house.ask([1] * 20, owner="ann", priority=Priority.API, answer=5)
    house.step()
    house.step()
    busy, *others = list_slots(house.scheduler.slots).slots
    assert (busy.is_processing, busy.is_paused, busy.priority) == (True, False, "api")
    assert (busy.num_prompt_tokens, busy.num_computed_tokens, busy.num_decoded_tokens) == (20, 21, 2)
    assert [(each.id, each.is_processing, each.num_tokens) for each in others] == [(1, False, 0), (2, False, 0)]
    house.run()
    left, *_ = list_slots(house.scheduler.slots).slots
    assert (left.is_processing, left.num_tokens, left.priority) == (False, 24, "")
