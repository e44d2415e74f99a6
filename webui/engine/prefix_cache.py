"""The prefix cache: finds the tokens that a new sequence need not compute, and puts them into its slot.

What a finished sequence leaves stays in its slot until the slot is needed; then it is parked in RAM, and a
conversation's state goes to disk as well. A radix tree over all of them answers who has the longest beginning of a
prompt. A sequence that goes on where its conversation ended takes that slot over in place; any other hit is copied, by
reference where the memory is shared. At least the last token is always computed again, because its logits are needed.

A memory that cannot be trimmed (a recurrent state, a sliding window) gives back whole states only: there a hit counts
when all of a state's tokens begin the prompt, and a checkpoint is parked where a prompt ends. It does not know who may
be admitted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal, Protocol

from webui.engine.kv_cells import KvCells
from webui.engine.radix_tree import RadixTree, common_prefix
from webui.engine.saved_states import Saved, SavedStates
from webui.engine.sequence import Sequence, Variant
from webui.engine.slots import Slot, SlotTable

LEAST_WORTH = 32  #: tokens; fewer are computed sooner than they are saved and found
_TAIL = 8  #: tokens that a template may put behind an answer and not repeat in the next prompt

_SMALL_SHARE = 16  #: of what is kept: losing less is cheaper than a copy

HitKind = Literal["slot", "parked", "disk"]


class KvMemory(Protocol):
    """What the KV memory itself must be able to do; the runner is one. Slots are sequence ids."""

    @property
    def shares_cells(self) -> bool:
        """All slots lie in one memory: a copy costs no cells, and attention walks over everybody's."""

    @property
    def can_trim(self) -> bool:
        """Any beginning of a slot can be had back; otherwise only whole states can."""

    def trim(self, slot: int, length: int) -> bool:
        """Keep the first `length` tokens. False: the memory cannot, and the slot must be cleared."""

    def copy(self, source: int, target: int, length: int) -> bool:
        """Put the first `length` tokens of `source` into the empty `target`. False: it cannot, the target is empty."""

    def clear(self, slot: int) -> None:
        """Forget everything in `slot`. Never fails."""

    def save(self, slot: int) -> bytes | None:
        """The whole state of a slot; None when the memory refuses."""

    def restore(self, slot: int, state: bytes) -> bool:
        """Put a saved state into the empty `slot`. False: refused, the slot is empty."""

    def shift(self, slot: int, keep: int, discard: int) -> bool:
        """Forget `discard` tokens behind the first `keep`; the others move up. False: it cannot, nothing changed."""


@dataclass(frozen=True, slots=True)
class Match:
    """The longest prefix of a sequence that is kept somewhere; `source` None means that nothing matches.

    `leader` is reading more of it right now: once it has read `leader_length` tokens, they can be copied.
    """

    source: Slot | Saved | None = None
    length: int = 0
    leader: Sequence | None = None
    leader_length: int = 0

    @property
    def is_worth_waiting(self) -> bool:
        return self.leader is not None and self.leader_length - self.length >= LEAST_WORTH


class PrefixCache:
    """Finds and places prefixes over the slots, what is saved, the account of the cells, and the memory itself."""

    def __init__(self, slots: SlotTable, cells: KvCells, memory: KvMemory, saved: SavedStates) -> None:
        self._slots = slots
        self._cells = cells
        self._memory = memory
        self._saved = saved
        self._trees: defaultdict[Variant, RadixTree[Slot | Saved]] = defaultdict(RadixTree)
        self.num_prompt_tokens = 0  #: of all sequences that were given a slot
        self.hits: Counter[str] = Counter()  #: of these, the tokens that were found, by HitKind
        for tokens, state in saved.load_index():
            self._trees[()].insert(tokens, state)

    # --- finding ---------------------------------------------------------------------------------------------------

    def find(self, sequence: Sequence) -> Match:
        """Where the longest prefix is, and who is about to have a longer one."""
        tokens = sequence.tokens[:-1]
        source, length = self._find_kept(sequence, tokens)
        leader, leader_length = None, 0
        for slot in self._slots:
            other = slot.sequence
            if other is None or other.variant != sequence.variant:
                continue
            shared = sequence.whole_images(common_prefix(other.tokens[: slot.num_pure], tokens))
            ready = sequence.whole_images(min(shared, len(slot.tokens)))
            if ready > length and (self._memory.can_trim or ready == len(slot.tokens)):
                source, length = slot, ready
            will_come = shared if self._memory.can_trim or self._will_checkpoint(other, shared) else 0
            if will_come > max(ready, leader_length) and other.priority <= sequence.priority and not other.is_paused:
                leader, leader_length = other, will_come
        return Match(source, length, leader, leader_length)

    def _will_checkpoint(self, leader: Sequence, length: int) -> bool:
        return self._saved.can_park and length == leader.num_prompt_tokens - 1

    def _find_kept(self, sequence: Sequence, tokens: list[int]) -> tuple[Slot | Saved | None, int]:
        tree = self._trees[sequence.variant]
        if self._memory.can_trim:
            length, holders = tree.longest_common(tokens)
            length = sequence.whole_images(length)
        else:
            whole = [each for each in tree.prefixes(tokens) if sequence.whole_images(each[0]) == each[0]]
            length = whole[0][0] if whole else 0
            holders = [holder for size, holder in whole if size == length]
        return min(holders if length else (), key=lambda holder: _cost(holder, sequence), default=None), length

    # --- placing ---------------------------------------------------------------------------------------------------

    def place(self, sequence: Sequence, match: Match) -> None:
        """Give `sequence` a slot that holds as much of the match as the memory lets it have."""
        source = match.source
        target = self._choose_target(sequence, match)
        if source is None:
            self.evict(target)
        elif source is target:
            self._trim(target, match.length)
        elif isinstance(source, Slot):
            self.evict(target)
            self._copy(source, target, match.length)
        else:
            tokens, state = self._trees[sequence.variant].tokens(source), self._saved.load(source)
            self.evict(target)  # only now: it may take the place of what was just loaded
            if state is None:
                self._drop(source)
            elif self._make_room(len(tokens)):
                self._restore(source, target, tokens, state)
                self._trim(target, min(match.length, len(target.tokens)))
        self._trees[target.variant].remove(target)
        self._slots.acquire(target, sequence)
        sequence.num_computed_tokens = len(target.tokens)
        if sequence.num_completion_tokens == 0:
            sequence.num_cached_tokens = len(target.tokens)
            self.num_prompt_tokens += sequence.num_prompt_tokens
            self.hits["slot" if not isinstance(source, Saved) else source.kind] += len(target.tokens)

    def _choose_target(self, sequence: Sequence, match: Match) -> Slot:
        """In place for a conversation that goes on, else elsewhere if there is a place."""
        idle, source = self._slots.idle, match.source
        if not isinstance(source, Slot) or not source.is_idle:
            return idle[0]
        others = [slot for slot in idle if slot is not source]
        if _is_continuation(sequence, source, match.length):
            return source
        if others:
            return others[0]
        self._park(source)
        return source

    def _trim(self, slot: Slot, length: int) -> None:
        if length == len(slot.tokens):
            return
        if self._memory.trim(slot.id, length):
            self._cells.trim(slot.id, length)
            del slot.tokens[length:]
        else:
            self._clear(slot)

    def _make_room(self, num_tokens: int) -> bool:
        """Evict idle prefixes until so many cells are free; none when that would not be enough."""
        held = self._cells.count(slot.id for slot in self._slots if not slot.is_idle)
        return self._cells.num_cells - held >= num_tokens and self.free(num_tokens) >= num_tokens

    def _restore(self, source: Saved, target: Slot, tokens: list[int], state: bytes) -> None:
        if self._memory.restore(target.id, state):
            target.tokens = tokens
            self._cells.extend(target.id, len(tokens))
        else:
            self._drop(source)

    def _copy(self, source: Slot, target: Slot, length: int) -> None:
        if not self._memory.copy(source.id, target.id, length):
            return
        if self._memory.shares_cells:
            self._cells.share(source.id, target.id, length)
        else:
            self._cells.extend(target.id, length)
        target.tokens = source.tokens[:length]

    # --- what stays ------------------------------------------------------------------------------------------------

    def release(self, sequence: Sequence) -> bool:
        """`sequence` gives its slot back; its tokens stay, findable, until the slot is needed. False: it held none."""
        slot = self._slots.release(sequence)
        if slot is None:
            return False
        if sequence.is_side_job:
            self._clear(slot)
        elif slot.num_pure is not None:
            self._trim(slot, slot.num_pure)
        slot.num_pure = None
        if slot.tokens:
            self._trees[slot.variant].insert(slot.tokens, slot)
        return True

    def settle(self, sequence: Sequence) -> None:
        """Guessed tokens that turned out wrong are taken out of the sequence's slot."""
        if sequence.slot is None:
            return
        slot = self._slots[sequence.slot]
        self._trim(slot, common_prefix(slot.tokens, sequence.tokens))
        sequence.num_computed_tokens = len(slot.tokens)

    def shift(self, sequence: Sequence, keep: int, discard: int) -> bool:
        """Forget `discard` of the sequence's tokens behind the first `keep`. False: the memory cannot, or there are
        images among them.

        What lay behind them has seen them: from now on only the first `keep` are good for anybody else.
        """
        if sequence.slot is None or sequence.images or not self._memory.shift(sequence.slot, keep, discard):
            return False
        slot = self._slots[sequence.slot]
        self._cells.discard(slot.id, keep, discard)
        del slot.tokens[keep : keep + discard]
        slot.num_pure = keep if slot.num_pure is None else min(keep, slot.num_pure)
        sequence.forget(keep, discard)
        return True

    def move(self, source: Slot, target: Slot) -> bool:
        """Move the sequence of `source` to the idle `target`. False: the memory cannot, and it stays."""
        self.evict(target)
        if source.tokens:  # else there is nothing yet that the memory could refuse to copy
            self._copy(source, target, len(source.tokens))
        sequence = source.sequence
        if sequence is None or len(target.tokens) < len(source.tokens):
            return False
        self._slots.release(sequence)
        self._clear(source)
        target.num_pure, source.num_pure = source.num_pure, None
        self._slots.acquire(target, sequence)
        return True

    def checkpoint(self, sequence: Sequence) -> None:
        """Park what a sequence's slot holds now, for a memory that could not go back to it."""
        if sequence.slot is not None:
            self._park(self._slots[sequence.slot])

    def evict(self, slot: Slot) -> None:
        """Empty an idle slot; what it held is parked where that is worth it."""
        if slot.tokens:
            self._park(slot)
            self._clear(slot)

    def evict_oldest(self) -> bool:
        """Evict the least recently used idle prefix; False when there is none."""
        slot = next((slot for slot in self._slots.idle if slot.tokens), None)
        if slot is not None:
            self.evict(slot)
        return slot is not None

    def free(self, num_cells: int) -> int:
        """Evict idle prefixes until so many cells are free, as far as that goes; how many are free."""
        while self._cells.num_free < num_cells and self.evict_oldest():
            pass
        return self._cells.num_free

    def evict_idle(self) -> None:
        """Evict every idle prefix that can be had back: where the memory is shared, all the others pay for it."""
        if self._saved.can_park:
            while self.evict_oldest():
                pass

    def store_one(self) -> bool:
        """Write one idle conversation's state to disk; False when there is nothing left to write."""
        for slot in self._slots:
            if slot.is_idle and self._should_store(slot):
                self._store(slot, self._memory.save(slot.id))
                return True
        return False

    def forget(self, conversation: str) -> None:
        """Drop everything that is kept of a conversation; what is being written now is dropped at its end."""
        for slot in self._slots:
            if slot.conversation == conversation:
                if slot.sequence is not None:
                    slot.sequence.is_side_job = slot.is_side_job = True
                else:
                    self._clear(slot)
        for saved in self._saved.forget(conversation):
            self._unlist(saved)

    # --- saving ----------------------------------------------------------------------------------------------------

    def _park(self, slot: Slot) -> None:
        if slot.is_side_job or len(slot.tokens) < LEAST_WORTH or not self._saved.can_park:
            return
        tree = self._trees[slot.variant]
        if self._is_covered(tree, slot.tokens):
            return
        state = self._memory.save(slot.id)
        if state is None:
            return
        saved, evicted = self._saved.park(slot.tokens, slot.conversation, state)
        for gone in evicted:
            self._unlist(gone)
        if saved is None:
            return
        if self._memory.can_trim:  # a shorter state of the same tokens says nothing that this one does not
            for _, other in tree.prefixes(slot.tokens):
                if isinstance(other, Saved) and other.kind == "parked":
                    self._drop(other)
        tree.insert(slot.tokens, saved)
        if slot.is_idle and self._should_store(slot):
            self._store(slot, state)

    def _is_covered(self, tree: RadixTree[Slot | Saved], tokens: list[int]) -> bool:
        """Whether a parked state has all of these tokens already."""
        if self._memory.can_trim:
            length, holders = tree.longest_common(tokens)
            whole = holders if length == len(tokens) else []
        else:
            whole = [holder for length, holder in tree.prefixes(tokens) if length == len(tokens)]
        return any(isinstance(holder, Saved) and holder.kind == "parked" for holder in whole)

    def _should_store(self, slot: Slot) -> bool:
        if slot.is_stored or slot.variant or slot.is_side_job:
            return False
        return self._saved.can_store(slot.conversation, slot.tokens)

    def _store(self, slot: Slot, state: bytes | None) -> None:
        slot.is_stored = True
        if state is None:
            return
        former, stored = self._saved.store(slot.conversation, slot.tokens, state)
        if former is not None:
            self._unlist(former)
        if stored is not None:
            self._trees[()].insert(slot.tokens, stored)

    def _drop(self, saved: Saved) -> None:
        self._saved.remove(saved)
        self._unlist(saved)

    def _unlist(self, saved: Saved) -> None:
        for tree in self._trees.values():
            tree.remove(saved)

    def _clear(self, slot: Slot) -> None:
        """Empty a slot in the memory, in the account and in the tree."""
        if slot.tokens:
            self._memory.clear(slot.id)
            self._cells.trim(slot.id, 0)
            slot.tokens = []
        self._trees[slot.variant].remove(slot)


def _is_continuation(sequence: Sequence, source: Slot, length: int) -> bool:
    """Whether a sequence goes on where this slot ended, so that nobody misses what it overwrites."""
    if sequence.is_side_job:
        return False
    if sequence.conversation or source.conversation:
        return sequence.conversation == source.conversation and 2 * length >= len(source.tokens)
    lost = len(source.tokens) - length
    return sequence.owner == source.owner and lost <= max(_TAIL, length // _SMALL_SHARE)


def _cost(holder: Slot | Saved, sequence: Sequence) -> int:
    """What having a prefix back costs: nothing in its own slot, a copy, a copy from RAM, a read from disk."""
    if isinstance(holder, Slot):
        return 0 if holder.conversation == sequence.conversation else 1
    return 2 if holder.kind == "parked" else 3
