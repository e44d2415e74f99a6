"""How far one model's distributions are from another's: perplexity and Kullback-Leibler divergence, as llama.cpp's.

The definitions are those of `llama-perplexity --kl-divergence` (tools/perplexity/perplexity.cpp): natural logarithms;
the reference's log-probabilities kept in 16 bits over the last 16 nats below its best logit; tokens to which the
reference gives less than e^-16 left out of the sum; the standard error is that of a mean. Arrays only: it knows no
models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]  #: one row for each position, one column for each token of the vocabulary
RANGE_NATS = 16.0
_LEVELS = 65535
_TAIL = 99  #: percent


@dataclass(frozen=True, slots=True)
class Packed:
    """Log-probabilities in 16 bits: `codes * scale + lowest`, row by row."""

    codes: NDArray[np.uint16]
    scale: NDArray[np.float32]  #: shape (rows,)
    lowest: NDArray[np.float32]

    def unpack(self) -> Logits:
        return self.codes.astype(np.float32) * self.scale[:, None] + self.lowest[:, None]

    def to_bytes(self) -> bytes:
        return self.scale.tobytes() + self.lowest.tobytes() + self.codes.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, num_tokens: int) -> Packed:
        rows = len(data) // row_bytes(num_tokens)
        scale, lowest = np.frombuffer(data, np.float32, 2 * rows).reshape(2, rows)
        codes = np.frombuffer(data, np.uint16, offset=8 * rows).reshape(rows, num_tokens)
        return cls(codes, scale, lowest)


def row_bytes(num_tokens: int) -> int:
    """What one position takes on disk, with a vocabulary of so many tokens."""
    return 8 + 2 * num_tokens


def log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64)
    normalized: Logits = shifted - np.log(total).astype(np.float32)
    return normalized


def pack(logprobs: Logits) -> Packed:
    """In 16 bits each, what lies lower than RANGE_NATS below the best being cut off there."""
    best = logprobs.max(axis=1)
    lowest = np.maximum(logprobs.min(axis=1), best - np.float32(RANGE_NATS))
    scale = (best - lowest) / np.float32(_LEVELS)
    steps = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    codes = np.rint((np.maximum(logprobs, lowest[:, None]) - lowest[:, None]) * steps[:, None])
    return Packed(codes.astype(np.uint16), scale, lowest)


@dataclass(slots=True)
class Tally:
    """One model's sums over all positions."""

    nats: list[float] = field(default_factory=list)  #: minus the log-probability of the token that came
    divergences: list[float] = field(default_factory=list)  #: from the reference, in nats
    num_same_best: int = 0

    def add(self, logprobs: Logits, following: NDArray[np.intp], reference: Logits | None) -> None:
        """`following` are the tokens that really came; `reference` the other model's log-probabilities, unpacked."""
        rows = np.arange(len(following))
        self.nats += (-logprobs[rows, following].astype(np.float64)).tolist()
        if reference is None:
            return
        odds = np.where(reference > -RANGE_NATS, np.exp(reference), np.float32(0))
        self.divergences += (odds * (reference - logprobs)).sum(axis=1, dtype=np.float64).tolist()
        self.num_same_best += int((reference.argmax(axis=1) == logprobs.argmax(axis=1)).sum())

    @property
    def perplexity(self) -> tuple[float, float]:
        """With its standard error."""
        mean, error = mean_and_error(self.nats)
        perplexity = math.exp(min(mean, 700.0))  # beyond, it is no number any more
        return perplexity, perplexity * error

    @property
    def divergence(self) -> tuple[float, float]:
        """Mean, with its standard error."""
        return mean_and_error(self.divergences)

    @property
    def divergence_tail(self) -> float:
        """What 99 % of the positions stay below."""
        return float(np.percentile(self.divergences, _TAIL))

    @property
    def same_best(self) -> float:
        """The share of positions at which both hold the same token for the most probable."""
        return self.num_same_best / len(self.divergences)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean and its standard error, sqrt((mean of squares - square of mean) / (n - 1))."""
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(max(0.0, float((array * array).mean()) - mean * mean) / (len(values) - 1))
