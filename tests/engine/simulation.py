"""A scheduler among random people, step by step, everything checked after every step.

It does what the loop does, with a fake memory and no time. What must always hold is checked in `_check`; what a request
must have come to, in `_end`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from tests.engine.fake_memory import NUM_TOKENS, FakeFiles, FakeMemory, answer, begin, next_token, see
from webui.engine.chunk import Chunk
from webui.engine.context_size import max_outputs
from webui.engine.parking import Parking
from webui.engine.runner import KvFull
from webui.engine.saved_states import SavedStates
from webui.engine.scheduler import Scheduler
from webui.engine.sequence import Sequence, Variant
from webui.engine.waiting import MAX_WAITING
from webui.errors import ContextTooLong
from webui.types import LoraAdapter, Priority

PATIENCE = 40_000  #: tokens of others that somebody may wait for, a few times what a full house has open
VARIANTS: tuple[Variant, ...] = ((), (), (), (LoraAdapter(path="poet.gguf"),))
SYSTEM_PROMPTS = ([*range(40)], [*range(30), *range(35)], [7] * 5)

End = Literal["done", "cancelled", "too long"]


@dataclass(frozen=True)
class World:
    """How one simulated engine is made, and how lucky it is."""

    num_slots: int = 4
    context_tokens: int = 150
    kv_tokens: int = 300  #: of a shared memory; separate ones have a context each
    batch_tokens: int = 32
    shares_cells: bool = True
    can_trim: bool = True
    missing_cells: int = 0  #: that the account believes in and the memory does not have
    parked_bytes: int = 20_000
    has_files: bool = True
    refusal: float = 0.05
    accuracy: float = 0.8  #: of guesses
    bustle: float = 0.3  #: probability that somebody comes in a step


@dataclass
class Request:
    """What one sequence should come to."""

    sequence: Sequence
    prompt: list[int]
    num_wanted: int
    may_shift: bool = False
    was_shifted: bool = False
    waited_for: int = 0  #: tokens of others since it had one


@dataclass
class Simulation:
    """One engine's life. `rng` decides everything that is left to chance, so a seed is a story."""

    world: World
    rng: random.Random
    ends: Counter[End] = field(default_factory=Counter)
    num_steps: int = 0
    longest_wait: int = 0

    def __post_init__(self) -> None:
        self._files = FakeFiles(self.rng, self.world.refusal)
        self._open: dict[int, Request] = {}
        self._threads: dict[str, list[int]] = {}
        self._num_asked = 0
        self._start()

    def _start(self) -> None:
        """A new process: only the files are left."""
        world = self.world
        kv_tokens = world.kv_tokens if world.shares_cells else world.num_slots * world.context_tokens
        self.memory = FakeMemory(
            self.rng,
            num_cells=kv_tokens - world.missing_cells,
            slot_cells=world.context_tokens,
            shares_cells=world.shares_cells,
            can_trim=world.can_trim,
            refusal=world.refusal,
        )
        self.scheduler = Scheduler(
            num_slots=world.num_slots,
            kv_tokens=kv_tokens,
            context_tokens=world.context_tokens,
            batch_tokens=world.batch_tokens,
            memory=self.memory,
            saved=SavedStates(Parking(world.parked_bytes), self._files if world.has_files else None),
        )

    # --- time ------------------------------------------------------------------------------------------------------

    def run(self, num_steps: int) -> None:
        """So many steps, then quiet: everybody ends, and nothing has leaked."""
        for _ in range(num_steps):
            self._happen()
            self.step()
            if self.rng.random() < 0.002:
                self.drain()
        self.drain()

    def step(self) -> None:
        """One turn of the loop."""
        self.num_steps += 1
        if not self.scheduler.has_work:
            return
        for sequence in self.scheduler.writers:
            sequence.draft = self._guess(sequence)
        budget = self.rng.choice([None, self.world.num_slots + 1, self.world.batch_tokens])
        try:
            chunks = self.scheduler.schedule(budget)
            rows = self._compute(chunks, budget)
        except ContextTooLong:
            self._give_up()
            return
        self.scheduler.commit(chunks)
        for chunk, row in zip(chunks, rows, strict=True):
            self._take(self._open[chunk.sequence.request_id], chunk, row)
        self._check(chunks)

    def drain(self) -> None:
        """Nobody comes any more and everybody is let go on, until all have ended."""
        for request in self._open.values():
            request.sequence.is_paused = False
        for _ in range(200_000):
            if not self._open:
                break
            self.step()
        assert not self._open, "somebody waits for ever"
        self._check([])
        while self.scheduler.cache.store_one():
            pass
        assert self.scheduler.num_running == self.scheduler.num_waiting == 0
        assert not self.scheduler.has_work
        if self.rng.random() < 0.2:
            self._start()

    # --- what happens ------------------------------------------------------------------------------------------------

    def _happen(self) -> None:
        chance = self.rng.random()
        if chance < self.world.bustle:
            self._ask()
        elif chance < self.world.bustle + 0.02 and self._open:
            self._end(self.rng.choice([*self._open.values()]), "cancelled")
        elif chance < self.world.bustle + 0.04 and self._open:
            sequence = self.rng.choice([*self._open.values()]).sequence
            sequence.is_paused = not sequence.is_paused
        elif chance < self.world.bustle + 0.045 and self._threads:
            self._forget(self.rng.choice([*self._threads]))

    def _ask(self) -> None:
        """Somebody goes on in a chat, branches off, asks for a title, or has a draft read ahead; several at once."""
        rng, name = self.rng, f"chat {self.rng.randrange(6)}"
        thread = self._threads.setdefault(name, list(rng.choice(SYSTEM_PROMPTS)))
        cut = rng.choice([len(thread), len(thread), rng.randrange(len(thread) + 1)])
        prompt = [*thread[:cut], *[rng.randrange(NUM_TOKENS) for _ in range(rng.choice([1, 5, 20, 80]))]]
        reads_only = rng.random() < 0.1
        priority = Priority.IDLE if reads_only else rng.choice([*Priority])
        variant, owner = rng.choice(VARIANTS), f"owner {rng.randrange(4) if rng.random() < 0.5 else self._num_asked}"
        num_wanted = 0 if reads_only else rng.choice([1, 3, 10, 40])
        for _ in range(rng.choice([1, 1, 1, 1, 4])):
            if self.scheduler.num_waiting >= MAX_WAITING // 4 or len(self._open) > MAX_WAITING:
                return
            self._num_asked += 1
            sequence = Sequence(
                self._num_asked,
                list(prompt),
                owner,
                priority,
                conversation=rng.choice([name, name, ""]),
                variant=variant,
                is_side_job=rng.random() < 0.1,
                reads_only=reads_only,
            )
            try:
                self.scheduler.add(sequence)
            except ContextTooLong:
                assert len(prompt) >= self.scheduler.max_tokens
                self._threads.pop(name, None)
                self.ends["too long"] += 1
                return
            self._open[sequence.request_id] = Request(sequence, prompt, num_wanted, may_shift=rng.random() < 0.3)

    def _forget(self, name: str) -> None:
        self.scheduler.cache.forget(name)
        del self._threads[name]
        assert not self._files.has(name)
        for slot in self.scheduler._slots:
            assert not (slot.is_idle and slot.conversation == name and slot.tokens), "it was to be forgotten"

    # --- a step ----------------------------------------------------------------------------------------------------

    def _guess(self, sequence: Sequence) -> list[int]:
        """What may follow, right or wrong, as a drafter would say it."""
        if not self.world.can_trim or sequence.slot is None or self.rng.random() < 0.5:
            return []
        draft: list[int] = []
        digest = see(self.memory.slots[sequence.slot][-1].digest, sequence.tokens[-1:])
        for _ in range(self.rng.randrange(6)):
            is_right = self.rng.random() < self.world.accuracy
            draft.append(next_token(digest) if is_right else self.rng.randrange(NUM_TOKENS))
            digest = see(digest, draft[-1:])
        return draft

    def _compute(self, chunks: list[Chunk], budget: int | None) -> list[list[int]]:
        self._check_plan(chunks, budget)
        while True:
            try:
                return self.memory.compute(chunks)
            except KvFull:
                assert self.world.missing_cells, "the account says that there is room"
                self.scheduler.shrink(chunks)
                chunks[:] = self.scheduler.schedule()
                self._check_plan(chunks, None)

    def _take(self, request: Request, chunk: Chunk, row: list[int]) -> None:
        """The sampled tokens, as the loop takes them."""
        sequence = request.sequence
        if not chunk.num_outputs:
            if sequence.num_remaining == 0:
                self._end(request, "done")
            return
        guesses = chunk.tokens[chunk.count - chunk.num_drafted :]
        for index, token in enumerate(row):
            sequence.tokens.append(token)
            is_done = len(sequence.tokens) - len(request.prompt) >= request.num_wanted and not request.was_shifted
            if is_done or (request.was_shifted and self.rng.random() < 0.1):
                self._end(request, "done")
                return
            if sequence.num_tokens >= self.scheduler.max_tokens:
                if not self._shift(request):
                    self._end(request, "done")
                return
            if index == len(guesses) or guesses[index] != token:
                break
        if guesses:
            self.scheduler.settle(sequence)

    def _shift(self, request: Request) -> bool:
        sequence = request.sequence
        if not request.may_shift:
            return False
        self.scheduler.settle(sequence)
        keep = self.rng.randrange(5)
        discard = (sequence.num_computed_tokens - keep) // 2
        if discard <= 0 or not self.scheduler.cache.shift(sequence, keep, discard):
            return False
        request.was_shifted = True
        return True

    # --- ends --------------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        (request,) = (request for request in self._open.values() if request.sequence.slot is not None)
        assert request.sequence.num_tokens > self.scheduler.kv_total, "there would have been room"
        self._end(request, "too long")

    def _end(self, request: Request, how: End) -> None:
        """It ends, once, and has said what it says alone."""
        sequence = request.sequence
        del self._open[sequence.request_id]
        self.ends[how] += 1
        if not request.was_shifted:
            said = sequence.tokens[len(request.prompt) :]
            assert sequence.tokens[: len(request.prompt)] == request.prompt
            assert said == answer(request.prompt, len(said), sequence.variant), "not what it says when it is alone"
            is_whole = len(said) == request.num_wanted or sequence.num_tokens >= self.scheduler.max_tokens
            assert is_whole or how != "done"
        if how == "done" and sequence.conversation in self._threads:
            self._threads[sequence.conversation] = list(sequence.tokens)
        self.scheduler.settle(sequence)
        self.scheduler.remove(sequence)

    # --- what must always hold ---------------------------------------------------------------------------------------

    def _check_plan(self, chunks: list[Chunk], budget: int | None) -> None:
        assert chunks, "there is work, and nobody does it"
        assert all(chunk.count > 0 for chunk in chunks)
        assert sum(chunk.count for chunk in chunks) <= self.world.batch_tokens
        assert sum(chunk.num_outputs for chunk in chunks) <= max_outputs(self.world.num_slots)
        assert len({chunk.slot for chunk in chunks}) == len(chunks), "one chunk for each slot"
        assert len({chunk.sequence.variant for chunk in chunks}) == 1, "one step, one set of adapters"
        assert not any(chunk.sequence.is_paused for chunk in chunks)
        writers = [chunk for chunk in chunks if chunk.sequence.is_running]
        num_read = sum(chunk.count for chunk in chunks if not chunk.sequence.is_running)
        assert num_read <= max(0, (budget or self.world.batch_tokens) - len(writers))
        open_ones = [request.sequence for request in self._open.values() if not request.sequence.is_paused]
        if any(chunk.sequence.is_idle_work for chunk in chunks):
            assert all(sequence.is_idle_work for sequence in open_ones), "idle work while somebody waits"
        for chunk in chunks:
            self._check_past(self._open[chunk.sequence.request_id], chunk)

    def _check_past(self, request: Request, chunk: Chunk) -> None:
        """Below a chunk lie the sequence's own tokens, and they have seen each other and nothing else."""
        assert chunk.start == chunk.sequence.num_computed_tokens
        assert self.memory.tokens(chunk.slot) == chunk.sequence.tokens[: chunk.start]
        if chunk.start and not request.was_shifted:
            seen = see(begin(chunk.sequence.variant), chunk.sequence.tokens[: chunk.start])
            assert self.memory.slots[chunk.slot][-1].digest == seen, "a prefix that saw something else"

    def _check(self, chunks: Iterable[Chunk]) -> None:
        scheduler = self.scheduler
        self._check_account()
        waiting = scheduler._line.sequences
        admitted = [slot.sequence for slot in scheduler._slots if slot.sequence is not None]
        assert Counter([*waiting, *admitted]) == Counter(request.sequence for request in self._open.values())
        assert all(sequence.slot is None for sequence in waiting)
        for slot in scheduler._slots:
            if slot.sequence is not None:
                assert slot.sequence.slot == slot.id
                assert slot.tokens == slot.sequence.tokens[: slot.sequence.num_computed_tokens]
                assert slot.sequence.num_remaining >= 1, "at least its last token is computed again"
        self._check_patience({chunk.sequence: chunk.count for chunk in chunks})

    def _check_account(self) -> None:
        """The account is exact: tokens of each slot, and distinct cells."""
        scheduler, memory = self.scheduler, self.memory
        for slot in scheduler._slots:
            assert slot.tokens == memory.tokens(slot.id)
            assert scheduler._cells.length(slot.id) == len(slot.tokens)
        assert scheduler.kv_used == memory.num_used
        assert scheduler.kv_used <= memory.num_cells

    def _check_patience(self, served: dict[Sequence, int]) -> None:
        """Idle work may wait as long as there is other work, and a paused one waits for itself."""
        for request in self._open.values():
            sequence = request.sequence
            is_waiting = not (sequence in served or sequence.is_paused or sequence.is_idle_work)
            request.waited_for = request.waited_for + sum(served.values()) if is_waiting else 0
            self.longest_wait = max(self.longest_wait, request.waited_for)
            assert request.waited_for < PATIENCE, "somebody starves"


def random_world(rng: random.Random) -> World:
    context = rng.choice([40, 90, 200])
    shares_cells = rng.random() < 0.6
    return World(
        num_slots=rng.choice([1, 2, 3, 4, 8]),
        context_tokens=context,
        kv_tokens=rng.choice([context, context + 30, 2 * context, 4 * context]),
        batch_tokens=rng.choice([2, 8, 32, 100]),
        shares_cells=shares_cells,
        can_trim=rng.random() < 0.7,
        missing_cells=rng.choice([0, 0, 0, 15]) if shares_cells else 0,
        parked_bytes=rng.choice([0, 3000, 20_000]),
        has_files=rng.random() < 0.5,
        refusal=rng.choice([0.0, 0.0, 0.1, 0.5]),
        accuracy=rng.choice([0.0, 0.7, 1.0]),
        bustle=rng.choice([0.02, 0.1, 0.3]),
    )
