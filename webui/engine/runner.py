"""What the loop needs from a model: the protocol behind which llama.cpp, or a fake in the tests, does the work."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from webui.engine.chunk import Chunk
from webui.engine.drafting import DraftModel
from webui.engine.image_span import ImagePart
from webui.engine.prefix_cache import KvMemory
from webui.engine.sequence import Variant
from webui.types import EngineInfo, Image, SamplingParams, TokenLogprobs


class KvFull(Exception):
    """The memory has no room for this batch; nothing was computed."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A chosen token, and its odds where the request asked for them."""

    token: int
    logprobs: TokenLogprobs | None = None


class Sampler(Protocol):
    """Chooses the tokens of one request; made by the runner, opaque to the loop."""

    def begin_answer(self) -> None:
        """The thinking, if there was any, is over: a grammar holds from the next token on."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class GapTokens:
    """The tokens of a vocabulary that fill in gaps; None: it has none for that."""

    prefix: int | None = None  #: the text before the gap follows
    suffix: int | None = None  #: the text behind it follows
    middle: int | None = None  #: what belongs into it follows
    file: int | None = None  #: another file follows, its name first
    repository: int | None = None  #: a name for all of them follows


class Vocabulary(Protocol):
    """The model's words."""

    @property
    def num_tokens(self) -> int: ...

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

    @property
    def gap_tokens(self) -> GapTokens: ...

    def tokenize_behind(self, text: str) -> list[int]:
        """Tokens of a text that goes on behind something else, control tokens parsed: no BOS."""

    def tokenize_text(self, text: str) -> list[int]:
        """The same of a text that is nothing but text: no control tokens in it."""

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for in the answer; empty for control tokens."""

    def control_text(self, token: int) -> str:
        """The text of a control token that is silent in an answer; empty for all others."""

    def shown_bytes(self, token: int) -> bytes:
        """A token's text, also that of a control token; a place of an image says nothing."""

    def is_end(self, token: int) -> bool:
        """Whether this token ends the model's turn."""


class Vision(Protocol):
    """Through what a model sees."""

    def look(self, image: Image) -> tuple[list[int] | ImagePart, ...]:
        """What stands for the image in a prompt, in order: tokens that mark it, and parts that are rows. Raises
        InvalidRequest for an image that cannot be read. Any thread may ask."""

    def known_count(self, image: Image) -> int | None:
        """How many tokens stand for the image; None while nobody has looked at it."""

    def keep(self, image: Image) -> object:
        """Holds on to what was made of an image as long as the result lives."""


class Runner(KvMemory, Protocol):
    """One loaded model with its KV memory."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def vision(self) -> Vision: ...

    @property
    def draft_model(self) -> DraftModel | None:
        """A second, small model that guesses ahead, where one was given."""

    @property
    def state_key(self) -> str:
        """Names all that a saved state depends on: another model, build or setting cannot use it."""

    def create_sampler(self, sampling: SamplingParams) -> Sampler: ...

    def acquire_adapters(self, adapters: Variant) -> None:
        """Have these loaded until they are released; a request holds its own while it lives. Raises UnusableAdapter, or
        EngineBusy when too many different ones are in use."""

    def release_adapters(self, adapters: Variant) -> None: ...

    def compute(self, chunks: Items[Chunk], *, threads: int) -> None:
        """Run one batch, all of one variant, with so many threads. Raises KvFull."""

    def sample(self, row: int, sampler: Sampler) -> Sampled:
        """The token that follows the `row`-th of the last batch's tokens with output, counted over all its chunks."""

    def logits(self, row: int) -> NDArray[np.float32]:
        """What the model holds of every token of the vocabulary behind that token; valid until the next batch."""
