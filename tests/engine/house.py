"""A house: the real scheduler over the fake model, stepped by hand."""

from __future__ import annotations

from pathlib import Path

from tests.engine.fake_runner import FakeRunner, next_letter
from webui.engine.chunk import Chunk
from webui.engine.image_span import ImageSpan
from webui.engine.parking import Parking
from webui.engine.saved_states import SavedStates
from webui.engine.scheduler import Scheduler
from webui.engine.sequence import Sequence, Variant
from webui.engine.state_files import StateFiles
from webui.types import EngineOptions, KvLayout, Priority, SamplingParams


class House:
    """A scheduler, a fake model and the sequences in them; each step also checks what must always hold."""

    def __init__(
        self,
        *,
        slots: int = 2,
        kv: int = 200,
        context: int = 200,
        batch: int = 64,
        can_trim: bool = True,
        parked_bytes: int = 0,
        layout: KvLayout = "shared",
        state_dir: Path | None = None,
    ) -> None:
        options = EngineOptions(
            context_tokens=context, kv_tokens=kv, num_slots=slots, batch_tokens=batch, kv_layout=layout
        )
        self.runner = FakeRunner(options, can_trim=can_trim)
        self.sampler = self.runner.create_sampler(SamplingParams())
        self.saved = SavedStates(
            Parking(parked_bytes), StateFiles(state_dir, "fake", 1_000_000) if state_dir is not None else None
        )
        self.scheduler = Scheduler(
            num_slots=slots,
            kv_tokens=kv,
            context_tokens=context,
            batch_tokens=batch,
            memory=self.runner,
            saved=self.saved,
        )
        self.kv = kv
        self.wanted: dict[Sequence, int] = {}
        self.guesses: dict[Sequence, list[int]] = {}  #: what a sequence will be guessed to say
        self.ended: list[Sequence] = []

    def ask(
        self,
        prompt: list[int],
        *,
        owner: str = "",
        priority: Priority = Priority.INTERACTIVE,
        answer: int = 3,
        conversation: str = "",
        variant: Variant = (),
        is_side_job: bool = False,
        guess: list[int] | None = None,
        images: tuple[ImageSpan, ...] = (),
    ) -> Sequence:
        """`answer` tokens are wanted; 0 only reads."""
        sequence = Sequence(
            len(self.wanted), list(prompt), owner, priority, conversation, variant, is_side_job, reads_only=not answer,
            images=images,
        )  # fmt: skip
        self.scheduler.add(sequence)
        self.wanted[sequence] = answer
        self.guesses[sequence] = guess or []
        return sequence

    def step(self) -> list[Chunk]:
        for sequence in self.scheduler.writers:
            sequence.draft = self.guesses[sequence][sequence.num_completion_tokens :]
        chunks = self.scheduler.schedule()
        if chunks:
            self.runner.compute(chunks, threads=1)
        self.scheduler.commit(chunks)
        assert self.scheduler.kv_used <= self.kv
        row = 0
        for chunk in chunks:
            self._take(chunk, row)
            row += chunk.num_outputs
        return chunks

    def _take(self, chunk: Chunk, row: int) -> None:
        sequence = chunk.sequence
        for guess, each in zip(
            [*chunk.tokens[chunk.count - chunk.num_drafted :], None], range(chunk.num_outputs), strict=False
        ):
            sequence.tokens.append(self.runner.sample(row + each, self.sampler).token)
            is_done = sequence.num_completion_tokens >= self.wanted[sequence]
            if is_done or sequence.num_tokens >= self.scheduler.max_tokens:
                self.end(sequence)
                return
            if guess != sequence.tokens[-1]:
                break
        if chunk.num_drafted:
            self.scheduler.settle(sequence)
        if sequence.reads_only and not sequence.num_remaining:
            self.end(sequence)

    def end(self, sequence: Sequence) -> None:
        self.scheduler.settle(sequence)
        self.scheduler.remove(sequence)
        self.ended.append(sequence)

    def run(self, max_steps: int = 10_000) -> int:
        """Until nothing is left to do; the number of steps."""
        num_steps = 0
        while self.scheduler.has_work:
            self.step()
            num_steps += 1
            assert num_steps < max_steps, "somebody waits for ever"
        return num_steps

    def num_computed_by(self, *sequences: Sequence) -> int:
        """Run to the end; tokens that the model computed meanwhile."""
        before = self.runner.num_computed
        self.run()
        assert all(sequence in self.ended for sequence in sequences)
        return self.runner.num_computed - before


def alone(prompt: list[int], length: int) -> list[int]:
    """What the fake model says when it has the machine to itself."""
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(next_letter(tokens))
    return tokens


def counts_of(chunks: list[Chunk]) -> dict[Sequence, int]:
    return {chunk.sequence: chunk.count for chunk in chunks}
