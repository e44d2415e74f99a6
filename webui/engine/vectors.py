"""What is done to a model's numbers before they leave: cut, brought to length 1, packed; logits turned into scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


def pack_vector(vector: Matrix, dimensions: int | None, *, normalize: bool) -> bytes:
    """Its first `dimensions` numbers (None: all) as little-endian 32-bit floats, of length 1 if that is wanted.

    Cutting comes first: the beginning of a vector of length 1 is shorter than that (Matryoshka embeddings are used so).
    """
    kept = vector[:dimensions].astype(np.float64)
    if normalize and (norm := float(np.sqrt(kept @ kept))) > 0:
        kept /= norm
    return kept.astype("<f4").tobytes()


def to_scores(ranks: Matrix, are_probabilities: bool) -> list[float]:
    """The first number of each row as a score from 0 to 1; a logit becomes its probability."""
    first = ranks[:, 0].astype(np.float64)
    scores = first if are_probabilities else 1.0 / (1.0 + np.exp(-np.clip(first, -700.0, 700.0)))
    return [float(score) for score in scores]
