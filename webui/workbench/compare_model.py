"""A model that reads a text, for comparing: its tokens, and the logits of the second half of each chunk.

It computes with llama.cpp in this process, with as much memory as one block of logits needs. It does not know what they
are compared with.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator, Sequence

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from webui.errors import LoadFailed, WorkFailed

BLOCK_TOKENS = 32  #: rows of logits at a time: with a vocabulary of 150,000 they take 19 MB
_READ_TOKENS = 256  #: of a step without logits
_SILENT = llama_cpp.llama_log_callback(lambda _level, _text, _user_data: None)  # C may call it at any time


class ComparedModel:
    """A loaded model; `close` gives its memory back. Raises LoadFailed."""

    def __init__(self, path: str, name: str, *, context_tokens: int, threads: int, gpu_layers: int) -> None:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if self._model is None:
            raise LoadFailed(name, "llama.cpp cannot read it")
        self._context = llama_cpp.llama_init_from_model(self._model, _context_params(context_tokens, threads))
        if self._context is None:
            llama_cpp.llama_model_free(self._model)
            raise LoadFailed(name, "there is too little memory for it")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._batch = llama_cpp.llama_batch_init(_READ_TOKENS, 0, 1)
        self.num_vocab: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.num_read = self.num_written = 0
        self.reading_seconds = self.writing_seconds = 0.0

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    @property
    def begins_with(self) -> int | None:
        """The token that every text begins with, where the model wants one."""
        return llama_cpp.llama_vocab_bos(self._vocab) if llama_cpp.llama_vocab_get_add_bos(self._vocab) else None

    def tokenize(self, text: str) -> list[int]:
        """With the beginning that the model wants; nothing in the text becomes a control token."""
        data = text.encode("utf-8", "replace")
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        length = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), True, False)
        return list(buffer[: max(0, length)])

    def read(self, chunk: Sequence[int], first: int) -> Iterator[NDArray[np.float32]]:
        """Logits behind the tokens from `first` to the last but one, in blocks; the chunk stands alone.

        Each block is valid until the next. Raises WorkFailed.
        """
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        for start in range(0, first, _READ_TOKENS):
            self._read(chunk[start : min(start + _READ_TOKENS, first)], start, has_logits=False)
        for start in range(first, len(chunk) - 1, BLOCK_TOKENS):
            tokens = chunk[start : min(start + BLOCK_TOKENS, len(chunk) - 1)]
            self._read(tokens, start, has_logits=True)
            yield self._logits(len(tokens))

    def write(self, start: int, num_tokens: int) -> None:
        """Take the most probable token so many times behind a chunk of `start` tokens, for the speed of writing."""
        token = 0
        for position in range(start, start + num_tokens):
            self.writing_seconds += self._decode([token], position, has_logits=True)
            self.num_written += 1
            token = int(self._logits(1)[0].argmax())

    def _read(self, tokens: Sequence[int], start: int, *, has_logits: bool) -> None:
        self.reading_seconds += self._decode(tokens, start, has_logits=has_logits)
        self.num_read += len(tokens)

    def _logits(self, num_rows: int) -> NDArray[np.float32]:
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._context), (num_rows, self.num_vocab))

    def _decode(self, tokens: Sequence[int], start: int, *, has_logits: bool) -> float:
        """Compute one batch. Returns the seconds that it took."""
        batch = self._batch
        for row, token in enumerate(tokens):
            batch.token[row] = token
            batch.pos[row] = start + row
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = 0
            batch.logits[row] = has_logits
        batch.n_tokens = len(tokens)
        began_at = time.monotonic()
        status = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_synchronize(self._context)
        if status != 0:
            raise WorkFailed(f"llama.cpp could not compute ({status})")
        return time.monotonic() - began_at


def _context_params(context_tokens: int, threads: int) -> llama_cpp.llama_context_params:
    params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    params.n_ctx = context_tokens
    params.n_batch = params.n_ubatch = min(_READ_TOKENS, context_tokens)
    params.n_seq_max = 1
    params.n_threads = params.n_threads_batch = threads
    params.n_outputs_max = params.n_outputs_max_per_seq = min(BLOCK_TOKENS, context_tokens)
    return params
