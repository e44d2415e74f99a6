"""A sequence: the tokens of one request and how many of them the model has seen.

There is no prefill phase and no decode phase. `num_remaining` is the one number that drives everything: more than one
means that the prompt is still being read, one means that the next token can be sampled after the next step. Guesses of
what comes next (`draft`) ride along in the same step. It does not know where its tokens come from or what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from webui.engine.image_span import ImageSpan
from webui.types import LoraAdapter, Priority

Variant = tuple[LoraAdapter, ...]  #: sequences of different variants never share a step or a prefix


@dataclass(slots=True, eq=False)
class Sequence:
    """One request as the scheduler sees it: integers and whose they are."""

    request_id: int
    tokens: list[int]  #: the prompt, and behind it what was generated
    owner: str = ""
    priority: Priority = Priority.INTERACTIVE
    conversation: str = ""
    variant: Variant = ()
    is_side_job: bool = False  #: its state is dropped at its end
    reads_only: bool = False  #: nothing is generated: it ends when its tokens are computed
    images: tuple[ImageSpan, ...] = ()  #: where its prompt has images, in order
    is_paused: bool = False
    draft: list[int] = field(
        default_factory=list
    )  #: guessed tokens behind the last one, to be checked by the next step
    arrival: int = 0  #: order of arrival, given by the scheduler; the oldest is never preempted by a younger one
    slot: int | None = None  #: the KV slot it holds while admitted
    num_computed_tokens: int = 0
    num_cached_tokens: int = 0  #: of the prompt, not computed again because a resident prefix had them
    num_prompt_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_prompt_tokens = len(self.tokens)

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    @property
    def num_remaining(self) -> int:
        """Tokens that must be computed before the next one can be sampled; 0 when one that only reads is done."""
        return len(self.tokens) - self.num_computed_tokens

    @property
    def num_completion_tokens(self) -> int:
        return len(self.tokens) - self.num_prompt_tokens

    @property
    def is_running(self) -> bool:
        """Needs one token a step. Otherwise it is reading its prompt (or reading it again after a preemption)."""
        return self.num_remaining == 1 and self.num_completion_tokens > 0

    @property
    def is_idle_work(self) -> bool:
        """Nobody waits for it: it runs only while nothing else does."""
        return self.priority is Priority.IDLE

    @property
    def next_image(self) -> ImageSpan | None:
        """The image that the next token to be computed belongs to."""
        return self._image_at(self.num_computed_tokens)

    @property
    def num_text_remaining(self) -> int:
        """Tokens that can be computed as such: up to the next image, or the end."""
        computed = self.num_computed_tokens
        return min((span.start - computed for span in self.images if span.end > computed), default=self.num_remaining)

    @property
    def num_indivisible(self) -> int:
        """Tokens that the next step must compute at least."""
        image = self.next_image
        return image.part.count if image is not None and image.part.is_whole else 1

    def whole_images(self, length: int) -> int:
        """`length`, or where the image begins that it would end in."""
        image = self._image_at(length)
        return length if image is None else image.start

    def place(self, index: int) -> int:
        """Where the token of this index, which is not inside an image, stands for the model."""
        return index - sum(span.part.num_saved for span in self.images if span.end <= index)

    def _image_at(self, position: int) -> ImageSpan | None:
        return next((span for span in self.images if span.start <= position < span.end), None)

    def forget(self, keep: int, discard: int) -> None:
        """Drop `discard` tokens behind the first `keep`, all of them computed."""
        self.num_prompt_tokens -= max(0, min(discard, self.num_prompt_tokens - keep))
        self.num_computed_tokens -= discard
        del self.tokens[keep : keep + discard]
