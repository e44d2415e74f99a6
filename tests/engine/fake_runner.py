"""A model that costs nothing: the real loop and scheduler run over it in milliseconds.

It keeps a KV memory of its own, checks that every chunk goes on exactly where its slot ends, and computes each next
token from all the tokens that the slot really holds. A wrong prefix would therefore show up as a wrong answer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from webui.engine.chunk import Chunk
from webui.engine.context_size import max_outputs
from webui.engine.drafting import DraftModel
from webui.engine.protocol import Load
from webui.engine.runner import GapTokens, KvFull, Sampled, Sampler, Vision
from webui.engine.sequence import Variant
from webui.engine.validation import check_sampling
from webui.engine.vision import NoVision
from webui.types import EngineInfo, EngineOptions, LoraAdapter, SamplingParams

END = 0
NUM_TOKENS = sys.maxunicode + 1
LETTERS = "abcdefghijklmnopqrstuvwxyz "


def next_letter(tokens: Sequence[int]) -> int:
    """The fake model: the next token after `tokens`, a letter that depends on all of them."""
    return ord(LETTERS[(sum(tokens) * 7 + len(tokens)) % len(LETTERS)])


class FakeSampler:
    def __init__(self) -> None:
        self.is_closed = False
        self.has_begun = False

    def begin_answer(self) -> None:
        self.has_begun = True

    def close(self) -> None:
        self.is_closed = True


class FakeVocabulary:
    """Characters are tokens."""

    num_tokens = NUM_TOKENS
    chat_template: str | None = None
    bos_text = ""
    eos_text = ""
    control_texts = frozenset(["<|im_start|>", "<|im_end|>"])
    gap_tokens = GapTokens()

    def tokenize(self, pieces: Sequence[str]) -> list[int]:
        return [ord(character) for piece in pieces for character in piece]

    def tokenize_behind(self, text: str) -> list[int]:
        return self.tokenize([text])

    def tokenize_text(self, text: str) -> list[int]:
        return self.tokenize([text])

    def token_bytes(self, token: int) -> bytes:
        return chr(token).encode()

    def shown_bytes(self, token: int) -> bytes:
        return self.token_bytes(token)

    def control_text(self, token: int) -> str:
        return ""

    def is_end(self, token: int) -> bool:
        return token == END


@dataclass
class FakeRunner:
    """`step` is called before each batch: a test puts its pause, its crash or its counter there."""

    options: EngineOptions
    can_trim: bool = True  #: False: like a recurrent model
    can_save: bool = True
    can_shift: bool = True
    state_key: str = "fake"
    draft_model: DraftModel | None = None
    vision: Vision = field(default_factory=NoVision)
    num_cells: int | None = None  #: cells that really exist; None: as many as the options say
    step: Callable[[Sequence[Chunk]], None] = lambda _chunks: None
    memory: dict[int, list[int]] = field(default_factory=dict)
    samplers: list[FakeSampler] = field(default_factory=list)
    num_computed: int = 0
    adapters_in_use: list[LoraAdapter] = field(default_factory=list)
    vocabulary: FakeVocabulary = field(default_factory=FakeVocabulary)
    _outputs: list[list[int]] = field(default_factory=list)  #: what each row with output comes after

    @property
    def shares_cells(self) -> bool:
        return self.options.kv_layout == "shared"

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            description="fake",
            num_parameters=1,
            context_train=self.options.context_tokens,
            options=self.options,
            device="CPU",
            has_chat_template=False,
        )

    def create_sampler(self, sampling: SamplingParams) -> FakeSampler:
        check_sampling(sampling, NUM_TOKENS)
        self.samplers.append(FakeSampler())
        return self.samplers[-1]

    def acquire_adapters(self, adapters: Variant) -> None:
        self.adapters_in_use += adapters

    def release_adapters(self, adapters: Variant) -> None:
        for adapter in adapters:
            self.adapters_in_use.remove(adapter)

    def compute(self, chunks: Sequence[Chunk], *, threads: int) -> None:
        self.step(chunks)
        assert 0 < sum(chunk.count for chunk in chunks) <= self.options.batch_tokens
        if self.num_cells is not None:
            held = sum(len(tokens) for tokens in self.memory.values())
            if held + sum(chunk.count for chunk in chunks) > self.num_cells:
                raise KvFull
        self._outputs = []
        for chunk in chunks:
            self._check_image(chunk, len(chunks))
            assert chunk.sequence.variant == chunks[0].sequence.variant, "one step, one set of adapters"
            tokens = self.memory.setdefault(chunk.slot, [])
            assert len(tokens) == chunk.start, "a chunk must go on where its slot ends"
            tokens += chunk.tokens
            self.num_computed += chunk.count
            ends = range(len(tokens) - chunk.num_outputs + 1, len(tokens) + 1)
            self._outputs += [tokens[:end] for end in ends]
        assert len(self._outputs) <= max_outputs(self.options.num_slots)

    def _check_image(self, chunk: Chunk, num_chunks: int) -> None:
        has_ids = {token < 0 for token in chunk.tokens}
        assert has_ids == {chunk.image is not None}, "text and images are never mixed"
        if chunk.image is not None:
            part = chunk.image.part
            assert num_chunks == 1, "an image is a step of its own"
            assert not part.is_whole or chunk.count == part.count, "rows that see each other are computed together"
            assert chunk.tokens == part.ids[chunk.start - chunk.image.start :][: chunk.count]

    def sample(self, row: int, _sampler: Sampler) -> Sampled:
        return Sampled(next_letter(self._outputs[row]))

    def logits(self, row: int) -> NDArray[np.float32]:
        """The next letter is e times as likely as any other character."""
        logits = np.zeros(NUM_TOKENS, np.float32)
        logits[next_letter(self._outputs[row])] = 1.0
        return logits

    def trim(self, slot: int, length: int) -> bool:
        if self.can_trim:
            del self.memory[slot][length:]
        return self.can_trim

    def copy(self, source: int, target: int, length: int) -> bool:
        if not self.can_trim and length < len(self.memory[source]):
            return False
        assert not self.memory.get(target)
        self.memory[target] = self.memory[source][:length]
        return True

    def save(self, slot: int) -> bytes | None:
        return json.dumps(self.memory[slot]).encode() if self.can_save else None

    def restore(self, slot: int, state: bytes) -> bool:
        assert not self.memory.get(slot)
        self.memory[slot] = json.loads(state)
        return True

    def shift(self, slot: int, keep: int, discard: int) -> bool:
        if self.can_shift:
            del self.memory[slot][keep : keep + discard]
        return self.can_shift

    def clear(self, slot: int) -> None:
        self.memory[slot] = []


def load_fake(load: Load, on_progress: Callable[[float], None]) -> FakeRunner:
    """What `load_model` is to llama.cpp; each step takes a few milliseconds, as with a small model."""
    for percent in range(0, 101, 20):
        on_progress(percent / 100)
    return FakeRunner(load.options, step=lambda _chunks: time.sleep(0.003))
