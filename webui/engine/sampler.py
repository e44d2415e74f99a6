"""The sampler: chooses one sequence's next token from the logits of the last step, with llama.cpp's own samplers.

Penalties see generated tokens only, never the prompt, so quoting what was asked costs nothing. The chain keeps its
state (penalty window, random stream) over the whole life of a request, preemptions included. The same seed gives the
same tokens as long as the logits are the same. Only this module and `model_runner` import llama_cpp.
"""

from __future__ import annotations

import random

import llama_cpp

from webui.engine.runner import Sampled
from webui.types import SamplingParams

_SEED_BITS = 32


def _seed(seed: int | None) -> int:
    """A 32-bit seed; the value that means "any" to llama.cpp is avoided."""
    value = random.getrandbits(_SEED_BITS) if seed is None else seed % 2**_SEED_BITS
    return value if value != llama_cpp.LLAMA_DEFAULT_SEED else 0


class LlamaSampler:
    """One sampler chain; `close` frees it."""

    def __init__(self, sampling: SamplingParams, *, num_vocab: int, window: int) -> None:
        """`window`: how many generated tokens the penalties look back at most."""
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        if penalties != (1.0, 0.0, 0.0):
            self._add(llama_cpp.llama_sampler_init_penalties(num_vocab, window, *penalties))
        if sampling.temperature == 0:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        if sampling.top_k > 0:
            self._add(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            self._add(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            self._add(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(llama_cpp.llama_sampler_init_temp(sampling.temperature))
        self._add(llama_cpp.llama_sampler_init_dist(_seed(sampling.seed)))

    def begin_answer(self) -> None:
        """The thinking, if there was any, is over."""

    def sample(self, context: llama_cpp.llama_context_p, output: int) -> Sampled:
        """The next token from the `output`-th token of the last batch; the chain has accepted it already."""
        return Sampled(int(llama_cpp.llama_sampler_sample(self._chain, context, output)))

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._chain)

    def _add(self, sampler: llama_cpp.llama_sampler_p) -> None:
        llama_cpp.llama_sampler_chain_add(self._chain, sampler)  # the chain owns it from here on
