"""Prompt lookup: guesses what follows by finding where the last tokens stood before.

A sequence often says again what it has read: code that is edited, a document that is quoted, a list that goes on. The
drafter looks for the longest earlier occurrence of the newest tokens and proposes what stood behind it, and never more
tokens than agree before (as SuffixDecoding does, Oliaro et al. 2025: the longer the agreement, the further it carries).
One token that differs does not end an agreement, because a quotation often changes a word and goes on. Reading a token
costs the same however long the sequence is. It knows integers of one sequence, no model.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

MIN_MATCH = 2  #: tokens that must agree before anything is proposed
MAX_MATCH = 32  #: tokens that a search looks back, and that an agreement counts at most
MAX_CANDIDATES = 8  #: earlier places that one search compares, the newest first
MAX_INDEXED = 32_768  #: tokens in the index; beyond it the older half is forgotten
_KEPT = 4  #: what is left of an agreement when a token differs: one so many-th
_RECOVERED = 4  #: tokens that must agree again until that is forgotten
_TOKEN_BITS = 32


class NgramDrafter:
    """The index of one sequence: for every pair of neighbours, where it stood last, and where before that."""

    def __init__(self, max_indexed: int = MAX_INDEXED) -> None:
        self._max_indexed = max_indexed
        self._reset(0)

    @property
    def match(self) -> int:
        """How many tokens agree where the last proposal comes from."""
        return self._match

    @property
    def is_recovering(self) -> bool:
        """Whether a token differed a moment ago: what follows may agree again or not."""
        return self._num_agreed < _RECOVERED

    @property
    def num_indexed(self) -> int:
        """Tokens whose places it remembers."""
        return len(self._earlier)

    def propose(self, tokens: Sequence[int], max_tokens: int) -> list[int]:
        """What stood behind the longest earlier occurrence of the newest tokens.

        `tokens` is the same sequence as last time with more behind it; any other one is read from its start.
        """
        self._read(tokens)
        count = min(max_tokens, self._match)
        if self._match < MIN_MATCH or count <= 0:
            return []
        draft = list(tokens[self._cursor : self._cursor + count])
        while len(draft) < count:  # it repeats itself up to its end: the draft goes on with its own beginning
            draft += draft[: count - len(draft)]
        return draft

    def _reset(self, start: int) -> None:
        """Forget all; positions before `start` are not indexed."""
        self._start = start
        self._num_read = start
        self._last = -1
        self._latest: dict[int, int] = {}  # a pair of tokens → the position behind its newest occurrence
        self._earlier = array("i")  # by position: the position behind the occurrence before that one; 0: none
        self._cursor = 0  # where the earlier occurrence goes on
        self._match = 0  # tokens before the cursor that agree with the end
        self._num_agreed = 0  # of these, those since a token differed

    def _read(self, tokens: Sequence[int]) -> None:
        if self._num_read > len(tokens) or (self._num_read > self._start and tokens[self._num_read - 1] != self._last):
            self._reset(0)
        if len(tokens) - self._start > self._max_indexed:
            self._reset(len(tokens) - self._max_indexed // 2)
        if self._num_read == len(tokens):
            return
        self._follow(tokens)
        self._index(tokens)
        if self._match < MIN_MATCH or self.is_recovering:
            self._search(tokens)

    def _follow(self, tokens: Sequence[int]) -> None:
        """Whether the occurrence that was found goes on as the sequence did."""
        for position in range(self._num_read, len(tokens)):
            if self._match == 0:
                return
            if tokens[self._cursor] == tokens[position]:
                self._match = min(MAX_MATCH, self._match + 1)
                self._num_agreed += 1
            else:
                self._match //= _KEPT
                self._num_agreed = 0
            self._cursor += 1

    def _index(self, tokens: Sequence[int]) -> None:
        latest, earlier, before = self._latest, self._earlier, self._last
        for position in range(self._num_read, len(tokens)):
            token = tokens[position]
            pair = before << _TOKEN_BITS | token
            earlier.append(latest.get(pair, 0) if before >= 0 else 0)
            if before >= 0:
                latest[pair] = position + 1
            before = token
        self._last, self._num_read = before, len(tokens)

    def _search(self, tokens: Sequence[int]) -> None:
        """The longest agreement among the newest occurrences of the last pair."""
        end = len(tokens)
        candidate = self._earlier[-1]
        for _ in range(MAX_CANDIDATES):
            if not candidate:
                return
            length = _agreement(tokens, candidate, end, candidate - self._start)
            if length > self._match:
                self._cursor, self._match, self._num_agreed = candidate, length, MAX_MATCH
            if length == MAX_MATCH:
                return
            candidate = self._earlier[candidate - 1 - self._start]


def _agreement(tokens: Sequence[int], left: int, right: int, limit: int) -> int:
    """How many tokens before position `left` equal those before `right`, counted backwards."""
    length = 0
    limit = min(limit, MAX_MATCH)
    while length < limit and tokens[left - 1 - length] == tokens[right - 1 - length]:
        length += 1
    return length
