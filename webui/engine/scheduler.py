"""The scheduler: decides, step by step, which tokens of which sequences the model computes next.

Sequences that are writing get one token each, so that no stream stalls behind somebody's long paste; what is left of
the step's budget goes to those that are still reading, in quanta to whoever has been served least. When the KV memory
is full, idle prefixes go first, then the youngest sequence goes back to waiting and is computed again later; the
oldest always moves on, so everybody ends. It sees integers: no llama_cpp, no clock, no pipe, no text.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

from webui.engine.fairness import WEIGHTS, FairShare, Flow
from webui.engine.kv_cells import KvCells
from webui.engine.prefix_cache import KvMemory, Match, PrefixCache
from webui.engine.sequence import Sequence
from webui.engine.slots import SlotTable
from webui.errors import ContextTooLong

logger = logging.getLogger(__name__)

PREFILL_QUANTUM = 64  #: tokens that one flow gets before the next one is asked
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` tokens of a sequence from position `start`, all in one slot of one batch."""

    sequence: Sequence
    slot: int
    start: int
    count: int

    @property
    def tokens(self) -> list[int]:
        return self.sequence.tokens[self.start : self.start + self.count]

    @property
    def has_output(self) -> bool:
        """Whether its last token is the sequence's last: then its logits give the next one."""
        return self.start + self.count == self.sequence.num_tokens


def flow_of(sequence: Sequence) -> Flow:
    return (sequence.owner, sequence.priority)


class Scheduler:
    """Owns every sequence from `add` to `remove`. The cycle: `schedule`, compute, `commit`, sample, append."""

    def __init__(
        self, *, num_slots: int, kv_tokens: int, context_tokens: int, batch_tokens: int, memory: KvMemory
    ) -> None:
        self._slots = SlotTable(num_slots)
        self._cells = KvCells(kv_tokens, num_slots)
        self._cache = PrefixCache(self._slots, self._cells, memory)
        self._fair = FairShare()
        self._waiting: list[Sequence] = []
        self._num_arrived = 0
        self.queue_version = 0  #: changes whenever somebody joins or leaves the queue
        self._batch_tokens = batch_tokens
        self.max_tokens = min(context_tokens, kv_tokens)  #: the longest that one sequence can get

    # --- what is there ---------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._slots.sequences)

    @property
    def is_full(self) -> bool:
        """Whether the queue takes nobody more."""
        return len(self._waiting) >= MAX_WAITING

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._slots.sequences)

    @property
    def kv_used(self) -> int:
        return self._cells.num_used

    def waiting_order(self) -> list[Sequence]:
        """Those who wait, in the order in which they would be admitted if nobody else came."""
        committed = self._committed()
        remaining = list(self._waiting)
        order = []
        while remaining:
            following = min(remaining, key=lambda sequence: self._admission_key(sequence, committed))
            remaining.remove(following)
            committed[flow_of(following)] += following.num_tokens * WEIGHTS[following.priority]
            order.append(following)
        return order

    # --- the life of a sequence ------------------------------------------------------------------------------------

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence. Raises ContextTooLong when there would be no room for a single token of answer."""
        if sequence.num_tokens >= self.max_tokens:
            raise ContextTooLong(sequence.num_tokens, self.max_tokens)
        self._num_arrived += 1
        sequence.arrival = self._num_arrived
        self._fair.join(flow_of(sequence))
        self._join_queue(sequence)

    def remove(self, sequence: Sequence) -> None:
        """End a sequence, finished or cancelled. Its tokens stay resident as a prefix until the room is needed."""
        if self._slots.release(sequence) is None:
            self._leave_queue(sequence)
        self._fair.leave(flow_of(sequence))

    # --- a step ----------------------------------------------------------------------------------------------------

    def schedule(self) -> list[Chunk]:
        """The chunks of the next step, writers first; empty only when nothing is left to do.

        At most `batch_tokens` tokens, never more than the KV memory has cells for. Raises ContextTooLong when a
        sequence is alone and there is no room for it; the caller must `remove` it.
        """
        self._admit()
        while self._slots.sequences:
            chunks = self._plan_writers()
            chunks += self._plan_readers(self._batch_tokens - len(chunks), len(chunks))
            if chunks:
                return chunks
            self._interrupt_youngest()
        return []

    def commit(self, chunks: list[Chunk]) -> None:
        """The model has computed these chunks: account for them."""
        for chunk in chunks:
            self._slots[chunk.slot].tokens += chunk.tokens
            self._cells.extend(chunk.slot, chunk.count)
            chunk.sequence.num_computed_tokens += chunk.count
            self._fair.charge(flow_of(chunk.sequence), chunk.count)

    def shrink(self, chunks: list[Chunk]) -> None:
        """llama.cpp found no room for these chunks although the account had it: believe llama.cpp, and plan again."""
        planned = sum(chunk.count for chunk in chunks)
        self._cells.num_cells = self._cells.num_used + planned // 2
        self.max_tokens = min(self.max_tokens, self._cells.num_cells)
        logger.warning("The KV memory holds less than it should; from now on %d tokens", self._cells.num_cells)

    def _interrupt_youngest(self) -> None:
        """Nobody can move: the youngest goes back to waiting. One who is alone can never move."""
        sequences = self._slots.sequences
        if len(sequences) == 1:
            raise ContextTooLong(sequences[0].num_tokens, self._cells.num_cells)
        self._preempt(sequences[-1])

    def _preempt(self, sequence: Sequence) -> None:
        """Its tokens become an idle prefix: whoever needs the cells drops it, and if nobody does, it goes on there."""
        self._slots.release(sequence)
        sequence.num_computed_tokens = 0
        self._join_queue(sequence)

    def _join_queue(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)
        self.queue_version += 1

    def _leave_queue(self, sequence: Sequence) -> None:
        self._waiting.remove(sequence)
        self.queue_version += 1

    # --- admission -------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give free slots to those who wait, as long as the memory can hold what was promised."""
        while self._waiting and any(slot.is_idle for slot in self._slots):
            committed = self._committed()
            sequence = min(self._waiting, key=lambda sequence: self._admission_key(sequence, committed))
            match = self._cache.find(sequence)
            if not self._fits(sequence, match):
                return
            self._leave_queue(sequence)
            self._cache.place(sequence, match)

    def _fits(self, sequence: Sequence, match: Match) -> bool:
        """Whether the whole prompt fits beside what the admitted ones still need, and one token more for each.

        A sequence that finds nobody else admitted always fits: everything idle can be dropped for it.
        """
        admitted = self._slots.sequences
        if not admitted:
            return True
        held = self._cells.count(slot.id for slot in self._slots if not slot.is_idle)
        if match.slot is not None and match.slot.is_idle:
            held += match.length
        promised = sum(other.num_remaining + 1 for other in admitted)
        return held + promised + sequence.num_tokens - match.length + 1 <= self._cells.num_cells

    def _committed(self) -> Counter[Flow]:
        """Weighted tokens that admitted sequences have been promised but not served yet, by flow."""
        committed: Counter[Flow] = Counter()
        for sequence in self._slots.sequences:
            committed[flow_of(sequence)] += sequence.num_remaining * WEIGHTS[sequence.priority]
        return committed

    def _admission_key(self, sequence: Sequence, committed: Counter[Flow]) -> tuple[int, int]:
        flow = flow_of(sequence)
        return (self._fair.served(flow) + committed[flow], sequence.arrival)

    # --- planning --------------------------------------------------------------------------------------------------

    def _plan_writers(self) -> list[Chunk]:
        """One token for each that is writing, oldest first, preempting from the young end when cells run out."""
        chunks: list[Chunk] = []
        for sequence in self._slots.sequences:
            if not sequence.is_running or sequence.slot is None or len(chunks) == self._batch_tokens:
                continue
            while self._room(len(chunks)) == 0 and self.num_running > 1 and sequence.slot is not None:
                self._preempt(self._slots.sequences[-1])
            if sequence.slot is not None and self._room(len(chunks)) > 0:
                chunks.append(Chunk(sequence, sequence.slot, sequence.num_computed_tokens, 1))
        return chunks

    def _plan_readers(self, budget: int, num_planned: int) -> list[Chunk]:
        """Share the rest of the budget among the sequences that are still reading, in quanta, fairly by flow."""
        readers = [sequence for sequence in self._slots.sequences if not sequence.is_running]
        counts: Counter[Sequence] = Counter()
        shares = {flow_of(sequence): self._fair.served(flow_of(sequence)) for sequence in readers}
        while budget > 0 and (hungry := [reader for reader in readers if counts[reader] < reader.num_remaining]):
            sequence = min(hungry, key=lambda sequence: (shares[flow_of(sequence)], sequence.arrival))
            wanted = min(PREFILL_QUANTUM, budget, sequence.num_remaining - counts[sequence])
            count = min(wanted, self._room(num_planned, at_least=wanted))
            if count <= 0:
                break
            counts[sequence] += count
            shares[flow_of(sequence)] += count * WEIGHTS[sequence.priority]
            budget -= count
            num_planned += count
        return [
            Chunk(sequence, sequence.slot, sequence.num_computed_tokens, count)
            for sequence, count in counts.items()
            if count and sequence.slot is not None
        ]

    def _room(self, num_planned: int, *, at_least: int = 1) -> int:
        """Free cells behind those already planned for; drops idle prefixes to reach `at_least`, as far as that goes."""
        while self._cells.num_free - num_planned < at_least and self._cache.drop_oldest():
            pass
        return self._cells.num_free - num_planned
