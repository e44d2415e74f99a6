"""Random lives of four slots over every kind of memory: after every step, what is held is what was put there."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path
from random import Random

import llama_cpp
import pytest

from tests.engine.test_llama_memory import LAYOUTS, NOISE, Bench, gap
from tests.engine.tiny_models import ATTENTION, KINDS, write_tiny_model

SLOTS, STEPS, CELLS = 4, 150, 512
_SILENCE = llama_cpp.llama_log_callback(lambda *_arguments: None)  # must outlive every call from C


class Life:
    """Does at random what a scheduler does for a reason, and keeps a list of the tokens that each slot must hold."""

    def __init__(self, path: Path, layout: str, seed: int) -> None:
        self.random = Random(seed)
        self.tiny = Bench(path, layout, kv_tokens=CELLS, num_slots=SLOTS)
        self.alone = Bench(path, "separate", num_slots=1)
        self.held: list[list[int]] = [[] for _ in range(SLOTS)]
        self.saved: list[tuple[bytes, list[int]]] = []
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        actions = [
            self.read,
            self.read,
            self.read,
            self.read,
            self.copy,
            self.trim,
            self.clear,
            self.save,
            self.restore,
        ]
        action = self.random.choice(actions)
        if action(self.random.randrange(SLOTS)):
            self.done[action.__name__] += 1

    def read(self, slot: int) -> bool:
        """One batch for one slot or several; the logits must be those of the same tokens read alone."""
        slots = self.random.choice([[slot], self.random.sample(range(SLOTS), self.random.randint(2, SLOTS))])
        parts = []
        for one in slots:
            fresh = [self.random.randrange(256) for _ in range(self.random.randint(1, 60 // len(slots)))]
            if len(self.held[one]) + len(fresh) < CELLS:
                parts.append((one, self.held[one] + fresh, len(self.held[one])))
        try:
            found = self.tiny.read_together(parts) if parts else []
        except MemoryError:
            self.done["full"] += 1
            return self.clear(slot)
        for (one, tokens, _), logits in zip(parts, found, strict=True):
            self.held[one] = tokens
            self.alone.memory.clear(0)
            assert gap(self.alone.read(0, tokens), logits) < 3 * NOISE
        return bool(parts)

    def copy(self, slot: int) -> bool:
        source = self.random.choice([other for other in range(SLOTS) if other != slot])
        length = self.some_length(source)
        self.clear(slot)
        if self.tiny.memory.copy(source, slot, length):
            self.held[slot] = self.held[source][:length]
        return bool(self.held[slot])

    def trim(self, slot: int) -> bool:
        length = self.some_length(slot)
        was_trimmed = self.tiny.memory.trim(slot, length)
        if was_trimmed:
            del self.held[slot][length:]
        return was_trimmed

    def clear(self, slot: int) -> bool:
        self.tiny.memory.clear(slot)
        self.held[slot] = []
        return True

    def save(self, slot: int) -> bool:
        state = self.tiny.memory.save(slot)
        assert (state is None) == (not self.held[slot])
        if state is not None:
            self.saved = [*self.saved[-5:], (state, list(self.held[slot]))]
        return state is not None

    def restore(self, slot: int) -> bool:
        if not self.saved:
            return False
        state, tokens = self.random.choice(self.saved)
        self.clear(slot)
        if self.tiny.memory.restore(slot, state):
            self.held[slot] = list(tokens)
        return bool(self.held[slot])

    def some_length(self, slot: int) -> int:
        """The whole of it, a little less, or anything."""
        length = len(self.held[slot])
        return self.random.choice([length, length, max(0, length - 2), self.random.randint(0, length)])

    def check_lengths(self) -> None:
        """Refused or done, a slot holds as many tokens as the list says."""
        for slot, tokens in enumerate(self.held):
            if tokens:
                assert self.tiny.memory.trim(slot, len(tokens))
            assert not self.tiny.memory.trim(slot, len(tokens) + 1)

    def close(self) -> None:
        self.tiny.close()
        self.alone.close()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_random_life(tmp_path: Path, kind: str, layout: str) -> None:
    llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
    life = Life(write_tiny_model(tmp_path, kind), layout, seed=KINDS.index(kind))
    for _ in range(STEPS):
        life.step()
        life.check_lengths()
    life.close()
    assert min(life.done[name] for name in ("read", "copy", "clear", "save", "restore")) > 2
    if kind in ATTENTION:
        assert life.done["trim"] > 5
