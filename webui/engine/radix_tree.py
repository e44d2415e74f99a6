"""A radix tree of token lists: who has the longest beginning in common with this prompt?

A compressed trie: an edge carries as many tokens as nobody branches in, so a tree of a hundred conversations has a few
hundred nodes, however long they are. A holder (a slot, a parked state, a file) holds one list and stands at the node
where that list ends. Edges compare as slices, in C; where two lists part is found by bisection, so lists of thousands
of tokens cost microseconds. It does not know what holders are, nor that tokens stand for text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

H = TypeVar("H")


def common_prefix(left: list[int], right: list[int], start: int = 0) -> int:
    """How many tokens `left` shares with what `right` has from `start` on. Slices compare in C: bisect, do not loop."""
    low, high = 0, min(len(left), len(right) - start)
    if left[:high] == right[start : start + high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if left[low:middle] == right[start + low : start + middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(slots=True, eq=False)
class _Node(Generic[H]):
    """The tokens from its parent to itself; children by the first token of theirs. Only the root has no parent.

    Every other node branches or has a holder: what would have neither is merged into its child or pruned.
    """

    edge: list[int]
    parent: _Node[H] | None
    children: dict[int, _Node[H]] = field(default_factory=dict)
    holders: dict[H, None] = field(default_factory=dict)  #: a set that keeps its order, so that nothing is by chance


class RadixTree(Generic[H]):
    """Token lists by holder. Methods take any sequence of ints; what they return is the caller's own."""

    def __init__(self) -> None:
        self._root: _Node[H] = _Node([], None)
        self._ends: dict[H, _Node[H]] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def __contains__(self, holder: H) -> bool:
        return holder in self._ends

    def insert(self, tokens: Sequence[int], holder: H) -> None:
        """`holder` has these tokens now, instead of what it had."""
        node, former = self._node_at(list(tokens)), self._ends.get(holder)
        if node is former:
            return
        node.holders[holder] = None
        self._ends[holder] = node
        if former is not None:
            self._let_go(former, holder)

    def remove(self, holder: H) -> None:
        """`holder` has nothing any more; it need not have had anything."""
        if (node := self._ends.pop(holder, None)) is not None:
            self._let_go(node, holder)

    def tokens(self, holder: H) -> list[int]:
        """What `holder` has. Raises KeyError when it is unknown."""
        edges: list[list[int]] = []
        node: _Node[H] | None = self._ends[holder]
        while node is not None:
            edges.append(node.edge)
            node = node.parent
        return list(chain.from_iterable(reversed(edges)))

    def longest_common(self, tokens: Sequence[int]) -> tuple[int, list[H]]:
        """The length of the longest prefix of `tokens` that some holder's list begins with, and all who have it.

        (0, []) when nobody begins like that.
        """
        *_, (node, length, _is_whole) = self._walk(list(tokens))
        return (length, list(_holders_below(node))) if length else (0, [])

    def prefixes(self, tokens: Sequence[int]) -> list[tuple[int, H]]:
        """Holders whose whole list is a prefix of `tokens`, with its length, longest first."""
        found = [
            (length, holder)
            for node, length, is_whole in self._walk(list(tokens))
            if is_whole
            for holder in reversed(node.holders)
        ]
        return found[::-1]

    # --- the nodes -------------------------------------------------------------------------------------------------

    def _walk(self, tokens: list[int]) -> Iterator[tuple[_Node[H], int, bool]]:
        """The nodes along `tokens` from the root: each with the length matched so far, and whether its edge is whole
        (only the last one's may not be)."""
        node, length = self._root, 0
        yield node, 0, True
        while length < len(tokens) and (child := node.children.get(tokens[length])) is not None:
            shared = common_prefix(child.edge, tokens, length)
            node, length = child, length + shared
            yield node, length, shared == len(child.edge)
            if shared < len(child.edge):
                return

    def _node_at(self, tokens: list[int]) -> _Node[H]:
        """The node where `tokens` end, made where there is none."""
        start = 0
        for node, length, _is_whole in self._walk(tokens):
            last, last_start, start = node, start, length
        node = self._split(last, start - last_start)
        if start < len(tokens):
            parent, node = node, _Node(tokens[start:], node)
            parent.children[tokens[start]] = node
        return node

    def _split(self, node: _Node[H], count: int) -> _Node[H]:
        """The node behind the first `count` tokens of `node`'s edge. `node` itself stays below: holders point at it."""
        if count == len(node.edge) or node.parent is None:
            return node
        upper = _Node(node.edge[:count], node.parent, {node.edge[count]: node})
        node.parent.children[node.edge[0]] = upper
        node.edge, node.parent = node.edge[count:], upper
        return upper

    def _let_go(self, node: _Node[H], holder: H) -> None:
        """`holder` no longer ends at `node`: prune or merge what has lost its reason."""
        del node.holders[holder]
        if not node.holders and not node.children and node.parent is not None:
            del node.parent.children[node.edge[0]]
            node = node.parent
        if not node.holders and len(node.children) == 1 and node.parent is not None:
            (child,) = node.children.values()
            node.parent.children[node.edge[0]] = child
            child.edge, child.parent = node.edge + child.edge, node.parent


def _holders_below(node: _Node[H]) -> Iterator[H]:
    """All holders that end at `node` or below it, those nearer to it first."""
    level = [node]
    while level:
        for each in level:
            yield from each.holders
        level = [child for each in level for child in each.children.values()]
