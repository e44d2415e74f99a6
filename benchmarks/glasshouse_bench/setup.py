"""What every contestant is given: the model file, the threads, the slots and the context; and how much is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  #: benchmarks/
REPOSITORY = ROOT.parent
CACHE = ROOT / ".cache"
RESULTS = ROOT / ".results"


@dataclass(frozen=True)
class Model:
    """A GGUF to measure with. `repeating` is one of the same shape whose answers prompt lookup predicts."""

    key: str
    title: str
    path: Path
    repeating: Path
    end_tokens: tuple[int, ...]  #: for servers that ignore the end only through `logit_bias`
    kv_bytes_per_token: int


@dataclass(frozen=True)
class Sizes:
    """How much is asked, in tokens unless the name says otherwise."""

    answer: int = 256
    shared_answer: int = 128  #: of each when eight write at once
    history: int = 1500
    paste: int = 2000
    prefix: int = 1000
    chats: tuple[int, ...] = (200, 2000, 3500)  #: lengths of chats that want a title
    flood: int = 50  #: long prompts of one person
    flood_prompt: int = 1000
    typing_seconds: float = 6.0


QUICK = Sizes(
    answer=24, shared_answer=12, history=120, paste=200, prefix=120, chats=(100, 300), flood=9, flood_prompt=150,
    typing_seconds=1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """One measurement's surroundings."""

    model: Model
    threads: int
    slots: int = 8
    context: int = 4096  #: of one slot
    sizes: Sizes = Sizes()

    @property
    def total_context(self) -> int:
        return self.slots * self.context
