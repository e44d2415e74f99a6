"""The radix tree: a few scenes, and a naive model that it must agree with whatever happens."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from webui.engine.radix_tree import RadixTree, common_prefix

SYSTEM = [1, 2, 3, 4, 5]


# --- scenes ----------------------------------------------------------------------------------------------------------


def test_a_new_conversation_finds_those_that_share_its_system_prompt() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([*SYSTEM, 10, 11], "ann")
    tree.insert([*SYSTEM, 20], "bob")
    tree.insert([9, 9, 9], "eve")
    length, holders = tree.longest_common([*SYSTEM, 30, 31])
    assert (length, sorted(holders)) == (5, ["ann", "bob"])


def test_the_next_turn_finds_its_own_conversation() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([*SYSTEM, 10, 11], "ann")
    tree.insert([*SYSTEM, 10, 12], "bob")
    assert tree.longest_common([*SYSTEM, 10, 11, 50, 51]) == (7, ["ann"])


def test_a_common_beginning_may_end_in_the_middle_of_an_edge() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([1, 2, 3, 4, 5, 6], "ann")
    assert tree.longest_common([1, 2, 3, 7]) == (3, ["ann"])
    assert tree.longest_common([1, 2, 3]) == (3, ["ann"])


def test_nobody_begins_like_that() -> None:
    tree: RadixTree[str] = RadixTree()
    assert tree.longest_common([1, 2]) == (0, [])
    tree.insert([1, 2], "ann")
    assert tree.longest_common([2, 1]) == (0, [])
    assert tree.longest_common([]) == (0, [])


def test_whole_states_count_only_where_all_of_their_tokens_are_wanted() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([1, 2], "checkpoint")
    tree.insert([1, 2, 3, 4], "later checkpoint")
    tree.insert([1, 2, 3, 4, 5, 6], "too far")
    tree.insert([1, 2, 9], "another branch")
    assert tree.prefixes([1, 2, 3, 4, 5]) == [(4, "later checkpoint"), (2, "checkpoint")]


def test_a_holder_has_one_list_the_last() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([1, 2, 3], "ann")
    tree.insert([1, 2, 3, 4], "ann")
    assert (tree.tokens("ann"), len(tree)) == ([1, 2, 3, 4], 1)
    tree.insert([7], "ann")
    assert tree.longest_common([1, 2, 3]) == (0, [])


def test_two_with_the_same_tokens_are_told_apart() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([1, 2], "slot")
    tree.insert([1, 2], "file")
    tree.remove("slot")
    assert tree.longest_common([1, 2]) == (2, ["file"])


def test_removing_a_stranger_changes_nothing() -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert([1, 2], "ann")
    tree.remove("bob")
    assert "ann" in tree
    assert "bob" not in tree


def test_the_list_that_was_given_is_not_kept() -> None:
    tree: RadixTree[str] = RadixTree()
    given = [1, 2, 3]
    tree.insert(given, "ann")
    given.append(4)
    tree.tokens("ann").append(5)
    assert tree.tokens("ann") == [1, 2, 3]


def test_a_hundred_long_conversations_cost_microseconds() -> None:
    tree: RadixTree[int] = RadixTree()
    shared = list(range(4000))
    for holder in range(100):
        tree.insert([*shared, *([holder] * 4000)], holder)
    prompt = [*shared, *([50] * 5000)]
    started_at = time.process_time()
    for _ in range(100):
        assert tree.longest_common(prompt) == (8000, [50])
    assert time.process_time() - started_at < 0.3  # a Python loop over the tokens would need more


# --- where two lists part --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)), st.integers(0, 5))
def test_the_common_prefix_is_what_a_loop_would_find(left: list[int], right: list[int], start: int) -> None:
    start = min(start, len(right))
    expected = 0
    for ours, theirs in zip(left, right[start:], strict=False):
        if ours != theirs:
            break
        expected += 1
    assert common_prefix(left, right, start) == expected


# --- whatever comes --------------------------------------------------------------------------------------------------

token_lists = st.lists(st.integers(0, 2), max_size=12)
holders = st.integers(0, 7)


class TreeAgainstModel(RuleBasedStateMachine):
    """The model is a dictionary of lists."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: RadixTree[int] = RadixTree()
        self.model: dict[int, list[int]] = {}

    @rule(tokens=token_lists, holder=holders)
    def insert(self, tokens: list[int], holder: int) -> None:
        self.tree.insert(tuple(tokens), holder)
        self.model[holder] = tokens

    @rule(rest=token_lists, source=holders, holder=holders, cut=st.integers(0, 12))
    def branch(self, rest: list[int], source: int, holder: int, cut: int) -> None:
        """Go on from, or part from, what somebody has: that is what conversations do."""
        self.insert([*self.model.get(source, [])[:cut], *rest], holder)

    @rule(holder=holders)
    def remove(self, holder: int) -> None:
        self.tree.remove(holder)
        self.model.pop(holder, None)

    @rule(tokens=token_lists)
    def look_up(self, tokens: list[int]) -> None:
        lengths = {holder: common_prefix(held, tokens) for holder, held in self.model.items()}
        longest = max(lengths.values(), default=0)
        length, found = self.tree.longest_common(tokens)
        assert length == longest
        assert sorted(found) == sorted(holder for holder, length in lengths.items() if 0 < length == longest)
        whole = [(len(held), holder) for holder, held in self.model.items() if tokens[: len(held)] == held]
        prefixes = self.tree.prefixes(tokens)
        assert sorted(prefixes) == sorted(whole)
        assert [length for length, _ in prefixes] == sorted((length for length, _ in whole), reverse=True)

    @invariant()
    def everybody_has_what_they_had(self) -> None:
        assert len(self.tree) == len(self.model)
        for holder, tokens in self.model.items():
            assert holder in self.tree
            assert self.tree.tokens(holder) == tokens

    @invariant()
    def nothing_is_left_over(self) -> None:
        """Each node branches or has a holder; edges are not empty and lie where their first token says."""
        todo = [self.tree._root]
        while todo:
            node = todo.pop()
            for first, child in node.children.items():
                assert child.edge[0] == first
                assert child.parent is node
                assert child.holders or len(child.children) > 1
                todo.append(child)


TestTreeAgainstModel = TreeAgainstModel.TestCase
TestTreeAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
