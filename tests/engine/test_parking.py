"""Parked states: bounded by bytes, the least recently used go first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.engine.parking import Parking


def test_what_is_parked_comes_back_as_it_was() -> None:
    parking = Parking(100)
    assert parking.add(1, b"ann's state") == []
    assert parking.get(1) == b"ann's state"
    assert (1 in parking, len(parking), parking.num_bytes) == (True, 1, 11)


def test_the_one_unused_for_longest_makes_room() -> None:
    parking = Parking(100)
    parking.add(1, b"a" * 40)
    parking.add(2, b"b" * 40)
    parking.get(1)
    assert parking.add(3, b"c" * 40) == [2]
    assert (parking.get(1), parking.get(3)) == (b"a" * 40, b"c" * 40)


def test_one_large_state_may_cost_several_small_ones() -> None:
    parking = Parking(100)
    for key in range(5):
        parking.add(key, b"x" * 20)
    assert parking.add(9, b"y" * 50) == [0, 1, 2]
    assert parking.num_bytes == 90


def test_what_is_larger_than_the_whole_place_is_not_taken_and_costs_nobody_anything() -> None:
    parking = Parking(100)
    parking.add(1, b"a" * 60)
    assert parking.add(2, b"b" * 101) == [2]
    assert (1 in parking, 2 in parking, parking.num_bytes) == (True, False, 60)


def test_a_state_that_grew_too_big_leaves_no_stale_one_behind() -> None:
    parking = Parking(100)
    parking.add(1, b"short")
    assert parking.add(1, b"l" + b"o" * 100 + b"ng") == [1]
    assert 1 not in parking
    with pytest.raises(KeyError):
        parking.get(1)


def test_without_a_place_nothing_is_parked() -> None:
    assert Parking(0).add(1, b"a") == [1]


def test_what_is_removed_gives_its_bytes_back() -> None:
    parking = Parking(100)
    parking.add(1, b"a" * 100)
    parking.remove(1)
    parking.remove(1)  # a second time changes nothing
    assert (parking.num_bytes, parking.add(2, b"b" * 100)) == (0, [])


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.sampled_from(["add", "get", "remove"]), st.integers(0, 5), st.integers(0, 30))),
)
def test_whatever_comes_the_account_is_exact_and_the_order_is_that_of_use(
    max_bytes: int, moves: list[tuple[str, int, int]]
) -> None:
    parking = Parking(max_bytes)
    model: dict[int, bytes] = {}  # in order of last use
    for move, key, size in moves:
        if move == "add":
            model.pop(key, None)
            gone = []
            if size > max_bytes:
                gone = [key]
            else:
                while sum(map(len, model.values())) + size > max_bytes:
                    gone.append(next(iter(model)))
                    del model[gone[-1]]
                model[key] = bytes([key]) * size
            assert parking.add(key, bytes([key]) * size) == gone
        elif move == "remove":
            parking.remove(key)
            model.pop(key, None)
        elif key in model:
            model[key] = model.pop(key)
            assert parking.get(key) == model[key]
        assert parking.num_bytes == sum(map(len, model.values())) <= max_bytes
        assert len(parking) == len(model)
        assert all(key in parking for key in model)
