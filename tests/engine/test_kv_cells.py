"""The account of KV cells, against the simplest thing that could be true: sets of cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webui.engine.kv_cells import KvCells

NUM_SLOTS = 3
operations = st.lists(
    st.tuples(
        st.sampled_from(["extend", "trim", "share"]),
        st.integers(0, NUM_SLOTS - 1),
        st.integers(0, NUM_SLOTS - 1),
        st.integers(0, 20),
    ),
    max_size=40,
)


@given(operations)
def test_shared_cells_count_once_and_are_free_when_the_last_user_lets_go(plan: list[tuple[str, int, int, int]]) -> None:
    cells = KvCells(10_000, NUM_SLOTS)
    truth: list[list[object]] = [[] for _ in range(NUM_SLOTS)]
    for operation, slot, other, count in plan:
        if operation == "extend":
            cells.extend(slot, count)
            truth[slot] += [object() for _ in range(count)]
        elif operation == "trim":
            cells.trim(slot, min(count, len(truth[slot])))
            del truth[slot][count:]
        elif slot != other and not truth[other]:
            length = min(count, len(truth[slot]))
            cells.share(slot, other, length)
            truth[other] = truth[slot][:length]
        assert cells.num_used == len({cell for tokens in truth for cell in tokens})
        assert cells.num_free == 10_000 - cells.num_used
        assert cells.count([0, 1]) == len({*truth[0], *truth[1]})


def test_two_slots_share_their_beginning() -> None:
    cells = KvCells(100, 2)
    cells.extend(0, 30)
    cells.share(0, 1, 20)
    cells.extend(1, 5)
    assert cells.num_used == 35
    cells.trim(0, 0)
    assert cells.num_used == 25
