"""Log-probabilities: what the model itself held for likely, before any sampling setting. It does not choose tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from webui.types import AlternativeToken, TokenLogprobs


def token_logprobs(
    logits: NDArray[np.float32], chosen: int, num_top: int, token_bytes: Callable[[int], bytes]
) -> TokenLogprobs:
    """The odds of `chosen` and of the `num_top` most probable tokens, best first. `logits` holds one for every token
    of the vocabulary: log softmax over all of them, natural logarithm."""
    best = float(logits.max())
    normalizer = best + float(np.log(np.exp(logits - best).sum(dtype=np.float64)))
    top = np.argpartition(logits, -num_top)[-num_top:] if num_top else np.empty(0, np.intp)

    def odds(token: int) -> AlternativeToken:
        return AlternativeToken(token=token_bytes(token), logprob=float(logits[token]) - normalizer)

    by_rank = sorted((int(token) for token in top), key=lambda token: (-float(logits[token]), token))
    return TokenLogprobs(chosen=odds(chosen), top=tuple(odds(token) for token in by_rank))
