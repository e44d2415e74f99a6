"""The sampler: chooses one sequence's next token from the logits of the last step, with llama.cpp's own samplers.

Penalties see generated tokens only, never the prompt, so quoting what was asked costs nothing. The chain keeps its
state (penalty window, random stream) over the whole life of a request, preemptions included. The same seed gives the
same tokens as long as the logits are the same.

A grammar leaves only the tokens that it allows to the chain; while the model thinks it allows everything but the end.
Without a grammar or log-probabilities no token costs more than llama.cpp's own call, and the best of unchanged logits
costs less.
"""

from __future__ import annotations

import ctypes
from typing import Protocol

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from webui.engine.grammar import GrammarState
from webui.engine.logprobs import token_logprobs
from webui.engine.runner import Sampled
from webui.engine.sampler_chain import create_chain, is_plain_greedy
from webui.types import SamplingParams

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama.h: llama_token_data


class SamplerVocabulary(Protocol):
    """What a sampler needs to know of the model's tokens."""

    @property
    def pointer(self) -> llama_cpp.llama_vocab_p: ...

    @property
    def num_tokens(self) -> int: ...

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer."""

    def shown_bytes(self, token: int) -> bytes:
        """A token's text, also that of a control token."""


class LlamaSampler:
    """The samplers of one request; `close` frees them."""

    def __init__(
        self, sampling: SamplingParams, vocabulary: SamplerVocabulary, *, window: int, grammar: GrammarState | None
    ) -> None:
        """`window`: how many generated tokens there can be for the penalties to look back at. `sampling` must have
        been checked; `grammar` is what was made of its grammar."""
        self._vocabulary = vocabulary
        self._grammar = grammar
        self._num_top = sampling.logprobs
        self._is_answering = False
        self._banned = vocabulary.ends if sampling.ignore_eos else ()
        self._takes_best = is_plain_greedy(sampling)
        self._chain = create_chain(sampling, vocabulary.pointer, window=window, banned=self._banned)

    def begin_answer(self) -> None:
        """The thinking, if there was any, is over: grammar and log-probabilities are for what comes now."""
        self._is_answering = True

    def sample(self, context: llama_cpp.llama_context_p, output: int) -> Sampled:
        """The next token from the `output`-th token of the last batch; it counts as chosen from here on. Raises
        InvalidRequest when the grammar cannot go on."""
        wants_logprobs = self._num_top is not None and self._is_answering
        if self._grammar is None and not wants_logprobs and not self._takes_best:
            return Sampled(int(llama_cpp.llama_sampler_sample(self._chain, context, output)))
        row = llama_cpp.llama_get_logits_ith(context, output)
        logits = np.ctypeslib.as_array(row, (self._vocabulary.num_tokens,))
        if self._grammar is not None:
            token = self._choose(logits, self._grammar)
        elif not self._takes_best or (token := int(logits.argmax())) in self._banned:
            token = int(llama_cpp.llama_sampler_sample(self._chain, context, output))
        if self._num_top is None or not self._is_answering or token in self._vocabulary.ends:
            return Sampled(token)
        return Sampled(token, token_logprobs(logits, token, self._num_top, self._vocabulary.shown_bytes))

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._chain)

    def _choose(self, logits: NDArray[np.float32], grammar: GrammarState) -> int:
        if not self._is_answering:  # an end now would be an answer without its form
            return self._choose_among(logits, np.delete(np.arange(len(logits)), self._vocabulary.ends))
        token = self._choose_among(logits, grammar.allowed())
        grammar.accept(token)
        return token

    def _choose_among(self, logits: NDArray[np.float32], tokens: NDArray[np.intp]) -> int:
        """Let the chain choose among these tokens, of which there is at least one."""
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = logits[tokens]
        data = ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p)
        array = llama_cpp.llama_token_data_array(data, len(tokens), -1, False)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token
