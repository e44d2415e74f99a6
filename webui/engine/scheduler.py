"""The scheduler: decides, step by step, which tokens of which sequences the model computes next.

Sequences that are writing get one token each (and the guesses that ride along), so that no stream stalls behind
somebody's long paste; what is left of the step's budget goes to those that are still reading, in quanta to whoever has
been served least. When the KV memory is full, idle prefixes go first, then the youngest sequence goes back to waiting
and is computed again later; the oldest always moves on, so everybody ends. It sees integers: no llama_cpp, no clock.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from webui.engine.chunk import Chunk, reading_chunk
from webui.engine.context_size import SPARE_OUTPUTS
from webui.engine.fairness import WEIGHTS, FairShare, Flow
from webui.engine.kv_cells import KvCells
from webui.engine.prefix_cache import KvMemory, Match, PrefixCache
from webui.engine.saved_states import SavedStates
from webui.engine.sequence import Sequence, Variant
from webui.engine.slots import Slot, SlotTable
from webui.engine.waiting import WaitingLine, committed_tokens, flow_of
from webui.errors import ContextTooLong

logger = logging.getLogger(__name__)

PREFILL_QUANTUM = 64  #: tokens that one flow gets before the next one is asked
STEPS_SCATTERED = 8  #: before a state is moved: somebody who is about to come may fill the gap


class Scheduler:
    """Owns every sequence from `add` to `remove`. The cycle: `schedule`, compute, `commit`, sample and append, `settle`
    where guesses were wrong."""

    def __init__(
        self,
        *,
        num_slots: int,
        kv_tokens: int,
        context_tokens: int,
        batch_tokens: int,
        memory: KvMemory,
        saved: SavedStates,
    ) -> None:
        self._slots = SlotTable(num_slots)
        self._cells = KvCells(kv_tokens, num_slots)
        self._memory = memory
        self._saved = saved
        self.cache = PrefixCache(self._slots, self._cells, memory, saved)
        self._fair = FairShare()
        self._line = WaitingLine(self._fair)
        self._num_arrived = 0
        self._last_variant: Variant = ()
        self._has_seen = False  # the last step computed an image: others first
        self._num_scattered = 0  # steps in a row
        self._can_move = True  # False: the memory refused
        self.num_preempted = 0
        self._batch_tokens = batch_tokens
        self.max_tokens = min(context_tokens, kv_tokens)  #: the longest that one sequence can get

    # --- what is there ---------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        return any(not sequence.is_paused for sequence in (*self._line.sequences, *self._slots.sequences))

    @property
    def is_crowded(self) -> bool:
        """Whether several sequences are read or wait to be, or one is written that nobody waits for and that may keep
        nobody waiting: then steps are short."""
        if any(each.is_idle_work and not each.reads_only for each in self._slots.sequences):
            return True
        num_reading = sum(not each.is_running and not each.is_idle_work for each in self._slots.sequences)
        return num_reading + self._line.num_unled > 1

    @property
    def is_full(self) -> bool:
        """Whether the queue takes nobody more."""
        return self._line.is_full

    @property
    def num_waiting(self) -> int:
        return self._line.num_waiting

    @property
    def num_running(self) -> int:
        return len(self._slots.sequences)

    @property
    def slots(self) -> Iterator[Slot]:
        return iter(self._slots)

    @property
    def num_slots_used(self) -> int:
        """Slots that hold a sequence, or what one left."""
        return sum(not slot.is_idle or bool(slot.tokens) for slot in self._slots)

    @property
    def kv_used(self) -> int:
        return self._cells.num_used

    @property
    def kv_total(self) -> int:
        return self._cells.num_cells

    @property
    def writers(self) -> list[Sequence]:
        """Those that get a token in the next step if there is room, oldest first."""
        return [each for each in self._slots.sequences if each.is_running and self._may_move(each)]

    @property
    def has_readers(self) -> bool:
        """Whether the next step reads somebody's prompt."""
        return any(not each.is_running and self._may_move(each) for each in self._slots.sequences)

    @property
    def queue_version(self) -> int:
        """Changes whenever somebody joins or leaves the queue."""
        return self._line.version

    def waiting_order(self) -> list[Sequence]:
        """Those who wait, in the order in which they would be admitted if nobody else came."""
        return self._line.predict(self._slots.sequences)

    # --- the life of a sequence ------------------------------------------------------------------------------------

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence. Raises ContextTooLong when there would be no room for a single token of answer."""
        if sequence.num_tokens >= self.max_tokens:
            raise ContextTooLong(sequence.num_tokens, self.max_tokens)
        self._num_arrived += 1
        sequence.arrival = self._num_arrived
        self._fair.join(flow_of(sequence))
        self._line.join(sequence)

    def remove(self, sequence: Sequence) -> None:
        """End a sequence, finished or cancelled. Its tokens stay resident as a prefix until the room is needed."""
        if not self.cache.release(sequence):
            self._line.leave(sequence)
        self._fair.leave(flow_of(sequence))

    def settle(self, sequence: Sequence) -> None:
        """The sampled tokens are appended: guesses that differ from them are taken back."""
        sequence.draft = []
        self.cache.settle(sequence)

    def rewind(self, sequence: Sequence, tokens: list[int]) -> None:
        """The sequence has other tokens from some place on; the last of them is computed (again)."""
        sequence.tokens[:] = tokens[:-1]
        self.settle(sequence)
        sequence.tokens.append(tokens[-1])

    # --- a step ----------------------------------------------------------------------------------------------------

    def schedule(self, max_tokens: int | None = None) -> list[Chunk]:
        """The chunks of the next step, by slot; empty only when nothing is left to do.

        Readers get no more than brings the step to `max_tokens`; it never has more than the batch or the KV memory has
        room for. Raises ContextTooLong when a sequence is alone and there is no room for it; the caller must `remove`
        it.
        """
        self._admit()
        self._gather()
        budget = min(self._batch_tokens, max_tokens or self._batch_tokens)
        while movable := [sequence for sequence in self._slots.sequences if self._may_move(sequence)]:
            self._choose_variant(movable)
            if image := self._plan_image(budget, is_others_turn=self._has_seen):
                return [image]
            chunks = self._plan_writers()
            chunks += self._plan_readers(budget - len(chunks), sum(chunk.count for chunk in chunks))
            if chunks:  # in the order of slots: llama.cpp computes neighbouring streams together, others one by one
                self._has_seen = False
                return sorted(chunks, key=lambda chunk: chunk.slot)
            if self._has_seen:  # there were no others
                self._has_seen = False
            else:
                self._interrupt_youngest()
        return []

    def commit(self, chunks: list[Chunk]) -> None:
        """The model has computed these chunks: account for them."""
        served: Counter[Flow] = Counter()
        for chunk in chunks:
            sequence = chunk.sequence
            self._slots[chunk.slot].tokens += chunk.tokens
            self._cells.extend(chunk.slot, chunk.count)
            sequence.num_computed_tokens += chunk.count - chunk.num_drafted
            served[flow_of(sequence)] += chunk.count - chunk.num_drafted
            if self._is_checkpoint(sequence):
                self.cache.checkpoint(sequence)
        self._fair.charge(served)

    def shrink(self, chunks: list[Chunk]) -> None:
        """llama.cpp found no room for these chunks although the account had it: believe llama.cpp, and plan again."""
        planned = sum(chunk.count for chunk in chunks)
        self._cells.num_cells = self._cells.num_used + planned // 2
        self.max_tokens = min(self.max_tokens, self._cells.num_cells)
        logger.warning("The KV memory holds less than it should; from now on %d tokens", self._cells.num_cells)

    def _gather(self) -> None:
        """Bring those who compute into neighbouring slots: llama.cpp computes separate streams in one pass over the
        weights only when their numbers follow each other. One move at a time, and only when the gap has lasted."""
        if self._memory.shares_cells or not self._can_move:
            return
        slots = sorted(each.slot for each in self._slots.sequences if each.slot is not None and self._may_move(each))
        is_scattered = bool(slots) and slots[-1] - slots[0] >= len(slots)
        self._num_scattered = self._num_scattered + 1 if is_scattered else 0
        if self._num_scattered <= STEPS_SCATTERED:
            return
        gaps = [slot for slot in self._slots if slots[0] < slot.id < slots[-1] and slot.is_idle]
        outer = min((self._slots[slots[0]], self._slots[slots[-1]]), key=lambda slot: len(slot.tokens))
        if gaps and not _is_among_images(outer.sequence):
            self._can_move = self.cache.move(outer, min(gaps, key=lambda slot: (bool(slot.tokens), slot.last_used)))

    def _interrupt_youngest(self) -> None:
        """Nobody can move: the youngest goes back to waiting. One who is alone with a full memory can never move."""
        sequences = self._slots.sequences
        if len(sequences) > 1:
            self._preempt(self._least_urgent(sequences))
        elif self._room(0) < sequences[0].num_indivisible:
            raise ContextTooLong(sequences[0].num_tokens, self._cells.num_cells)

    def _least_urgent(self, sequences: list[Sequence]) -> Sequence:
        """Whom to interrupt: one that cannot move anyway; of those, or of all, the youngest that nobody waits for, the
        youngest paused one, the youngest."""
        return max(
            sequences, key=lambda each: (not self._may_move(each), each.is_idle_work, each.is_paused, each.arrival)
        )

    def _preempt(self, sequence: Sequence) -> None:
        """Its tokens become an idle prefix: whoever needs the cells drops it, and if nobody does, it goes on there."""
        self.cache.release(sequence)
        sequence.num_computed_tokens = 0
        sequence.draft = []
        self.num_preempted += 1
        self._line.join(sequence)

    def _may_move(self, sequence: Sequence) -> bool:
        return not sequence.is_paused and (not sequence.is_idle_work or self._is_quiet)

    @property
    def _is_quiet(self) -> bool:
        """Whether only idle work is there."""
        return all(each.is_idle_work or each.is_paused for each in (*self._line.sequences, *self._slots.sequences))

    def _is_checkpoint(self, sequence: Sequence) -> bool:
        return not self._memory.can_trim and sequence.num_computed_tokens == sequence.num_prompt_tokens - 1

    # --- admission -------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give free slots to those who wait, as long as the memory can hold what was promised."""
        has_admitted = False
        while order := self._line.order(self._slots.sequences, self._may_move):
            admission = self._next_admission(order)
            if admission is None:
                if self._make_way(order):
                    continue
                break
            sequence, match = admission
            self._line.leave(sequence)
            self.cache.place(sequence, match)
            has_admitted = True
        if has_admitted and self._memory.shares_cells and self.num_running > 1:
            self.cache.evict_idle()

    def _make_way(self, order: list[Sequence]) -> bool:
        """One sequence gives its place to the one that is next in the queue; False when none has to, or can."""
        admitted = self._slots.sequences
        following = next((each for each in order if not self._line.is_led(each, self._may_move)), None)
        if following is None:
            return False
        committed = committed_tokens(admitted)
        held = Counter(sequence.owner for sequence in admitted)
        if owed := [each for each in admitted if self._owes_place(each, following, held, committed)]:
            self._preempt(self._least_urgent(owed))
        return bool(owed)

    def _owes_place(self, holder: Sequence, waiting: Sequence, held: Counter[str], committed: Counter[Flow]) -> bool:
        """Idle and paused ones do; else who is less urgent, or whose owner has two places more, if it would then stand
        behind the other in the queue, and its state is not lost with its place."""
        if not self._may_move(holder):
            return True
        if not self._saved.can_park:
            return False
        promised, _ = self._line.key(holder, committed)
        promised -= holder.num_remaining * WEIGHTS[holder.priority]
        if promised <= self._line.key(waiting, committed)[0]:
            return False
        has_plenty = held[holder.owner] >= held[waiting.owner] + 2
        return holder.priority > waiting.priority or (has_plenty and holder.priority == waiting.priority)

    def _next_admission(self, order: list[Sequence]) -> tuple[Sequence, Match] | None:
        """Who comes in next, and with what; nobody jumps a queue whose head does not fit yet."""
        if not any(slot.is_idle for slot in self._slots):
            return None
        for sequence in order:
            if self._line.is_led(sequence, self._may_move):
                continue
            match = self.cache.find(sequence)
            if match.is_worth_waiting:
                self._line.follow(sequence, match)
                continue
            return (sequence, match) if self._fits(sequence, match) else None
        return None

    def _fits(self, sequence: Sequence, match: Match) -> bool:
        """Whether the whole prompt fits beside what the admitted ones still need, and one token more for each.

        A sequence that finds nobody else admitted always fits: everything idle can be dropped for it. So does one that
        has a memory of its own.
        """
        admitted = self._slots.sequences
        if not admitted or not self._memory.shares_cells:
            return True
        held = self._cells.count(slot.id for slot in self._slots if not slot.is_idle)
        shared = 0
        if isinstance(match.source, Slot):
            shared = match.length
            held += match.length if match.source.is_idle else 0
        promised = sum(other.num_remaining + 1 for other in admitted)
        return held + promised + sequence.num_tokens - shared + 1 <= self._cells.num_cells

    # --- planning --------------------------------------------------------------------------------------------------

    def _choose_variant(self, movable: list[Sequence]) -> None:
        """One step computes with one set of adapters: the sets take turns."""
        variants = list(dict.fromkeys(sequence.variant for sequence in movable))
        if self._last_variant in variants and len(variants) > 1:
            following = variants.index(self._last_variant) + 1
            self._last_variant = variants[following % len(variants)]
        elif self._last_variant not in variants:
            self._last_variant = variants[0]

    def _plan_writers(self) -> list[Chunk]:
        """One token for each that is writing, oldest first, preempting from the young end when cells run out; then its
        guesses, as far as there is room."""
        chunks: list[Chunk] = []
        num_planned, drafts_left = 0, SPARE_OUTPUTS
        for sequence in self.writers:
            if sequence.variant != self._last_variant or sequence.slot is None or num_planned == self._batch_tokens:
                continue
            while self._room(num_planned) == 0 and self.num_running > 1 and sequence.slot is not None:
                self._preempt(self._least_urgent(self._slots.sequences))
            if sequence.slot is None or self._room(num_planned) == 0:
                continue
            start = sequence.num_computed_tokens
            room = min(
                drafts_left,
                self._batch_tokens - num_planned - 1,
                self._cells.num_free - num_planned - 1,
                self.max_tokens - sequence.num_tokens - 1,  # the last token of a full context is never a guess
            )
            draft = sequence.draft[: max(0, room)]
            chunks.append(Chunk(sequence, sequence.slot, start, [sequence.tokens[start], *draft], 1 + len(draft)))
            drafts_left -= len(draft)
            num_planned += 1 + len(draft)
        return chunks

    def _plan_image(self, budget: int, *, is_others_turn: bool) -> Chunk | None:
        """Up to `budget` rows of an image that somebody has come to, of whoever was served least: a step of its own, in
        turns with the others' steps."""
        readers = [each for each in self._readers() if each.next_image is not None]
        for sequence in sorted(readers, key=lambda each: (self._fair.served(flow_of(each)), each.arrival)):
            image = sequence.next_image
            if is_others_turn or image is None:
                break
            left = image.end - sequence.num_computed_tokens
            wanted = left if image.part.is_whole else min(left, budget)
            room = self._room(0, at_least=wanted)
            if room >= (wanted if image.part.is_whole else 1):
                self._has_seen = True
                return reading_chunk(sequence, min(wanted, room))
        return None

    def _readers(self) -> list[Sequence]:
        return [
            each
            for each in self._slots.sequences
            if not each.is_running and each.variant == self._last_variant and self._may_move(each)
        ]

    def _plan_readers(self, budget: int, num_planned: int) -> list[Chunk]:
        """Share the rest of the budget among the sequences that are still reading, in quanta, fairly by flow."""
        readers = [each for each in self._readers() if each.next_image is None]
        counts: Counter[Sequence] = Counter()
        shares = {flow_of(sequence): self._fair.served(flow_of(sequence)) for sequence in readers}
        budget = min(budget, self._batch_tokens - num_planned)
        while budget > 0 and (hungry := [each for each in readers if counts[each] < self._reading_left(each)]):
            sequence = min(hungry, key=lambda sequence: (shares[flow_of(sequence)], sequence.arrival))
            if self._is_over_soon(counts) and not self._fair.has_credit(flow_of(sequence)):
                break
            wanted = min(PREFILL_QUANTUM, budget, self._reading_left(sequence) - counts[sequence])
            count = min(wanted, self._room(num_planned, at_least=wanted))
            if count <= 0:
                break
            counts[sequence] += count
            shares[flow_of(sequence)] += count * WEIGHTS[sequence.priority]
            budget -= count
            num_planned += count
        return [reading_chunk(sequence, count) for sequence, count in counts.items() if count]

    def _is_over_soon(self, counts: Counter[Sequence]) -> bool:
        """Whether the step ends the reading of somebody who has credit: then others do not make it longer."""
        return any(
            count == sequence.num_remaining and self._fair.has_credit(flow_of(sequence))
            for sequence, count in counts.items()
        )

    def _reading_left(self, sequence: Sequence) -> int:
        """Tokens that one step may read: it ends where an image begins, and where a checkpoint is due."""
        left = sequence.num_text_remaining
        if self._memory.can_trim:
            return left
        to_checkpoint = sequence.num_prompt_tokens - 1 - sequence.num_computed_tokens
        return min(to_checkpoint, left) if to_checkpoint > 0 else left

    def _room(self, num_planned: int, *, at_least: int = 1) -> int:
        """Free cells behind those already planned for; drops idle prefixes to reach `at_least`, as far as that goes."""
        return self.cache.free(num_planned + at_least) - num_planned


def _is_among_images(sequence: Sequence | None) -> bool:
    """Whether what it has read may end in an image, whose places some memories cannot copy by their number."""
    return sequence is not None and bool(sequence.images) and not sequence.is_running
