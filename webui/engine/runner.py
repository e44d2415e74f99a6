"""What the loop needs from a model: the protocol behind which llama.cpp, or a fake in the tests, does the work."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Protocol

from webui.engine.prefix_cache import KvMemory
from webui.engine.scheduler import Chunk
from webui.types import EngineInfo, SamplingParams


class KvFull(Exception):
    """The memory has no room for this batch; nothing was computed."""


class Sampler(Protocol):
    """Chooses the tokens of one request; made by the runner, opaque to the loop."""

    def close(self) -> None: ...


class Vocabulary(Protocol):
    """The model's words."""

    @property
    def chat_template(self) -> str | None:
        """The Jinja source that came with the model."""

    @property
    def bos_text(self) -> str: ...

    @property
    def eos_text(self) -> str: ...

    @property
    def control_texts(self) -> frozenset[str]:
        """Texts that the tokenizer turns into control tokens: what a person types must never become one."""

    def tokenize(self, pieces: Items[str]) -> list[int]:
        """Tokens of the joined pieces, control tokens parsed inside a piece but never across two; BOS where due."""

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for in the answer; empty for control tokens."""

    def is_end(self, token: int) -> bool:
        """Whether this token ends the model's turn."""


class Runner(KvMemory, Protocol):
    """One loaded model with its KV memory."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def create_sampler(self, sampling: SamplingParams) -> Sampler: ...

    def compute(self, chunks: Items[Chunk], *, threads: int) -> None:
        """Run one batch; `threads` is for a short one, a long one may take all there are. Raises KvFull."""

    def sample(self, chunk_index: int, sampler: Sampler) -> int:
        """The next token behind the last token of that chunk of the last batch."""
