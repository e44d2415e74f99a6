"""The runner of a model that embeds or ranks: one GGUF, one llama.cpp context, one batch at a time.

It tells by the file what the model is, makes the context that its pooling needs, tokenizes, and computes batches whose
sequences forget each other. It decides nothing itself, and does nothing to the numbers.

An encoder, and whatever pools over all of its tokens, reads a sequence in one piece. Where only the last token counts
(Qwen3-Embedding), pieces are smaller than a sequence may be: llama.cpp computes the odds of the whole vocabulary for
each token of a piece, needed or not, which would be gigabytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llama_cpp
import msgspec
import numpy as np
import numpy.typing as npt

from webui.engine.vectors import Matrix
from webui.errors import LoadFailed
from webui.types import EngineInfo, EngineOptions, ModelKind

if TYPE_CHECKING:
    from webui.engine.model_runner import LlamaLog

Integers = npt.NDArray[np.int32]

PIECE_TOKENS = 256  #: that are computed at once where a sequence can be read in pieces
MIN_BATCH_TOKENS = 512  #: room for several short inputs, however short the model's context is
_NONE, _MEAN, _LAST, _RANK = (
    llama_cpp.LLAMA_POOLING_TYPE_NONE,
    llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    llama_cpp.LLAMA_POOLING_TYPE_LAST,
    llama_cpp.LLAMA_POOLING_TYPE_RANK,
)


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a model's tokens become one vector (llama.cpp's number for it), and how it may be computed."""

    type: int
    reads_pieces: bool  #: whether a sequence may be read piece by piece
    gives_probabilities: bool  #: a rank that is a probability already

    @property
    def kind(self) -> ModelKind:
        return "rerank" if self.type == _RANK else "embedding"


def find_pooling(model: llama_cpp.llama_model_p) -> Pooling | None:
    """How the model pools; None when the file does not say that it is made to embed or to rank.

    A file that reads in both directions is made for that even when it names no pooling: the mean is taken then.
    """
    architecture = _metadata(model, "general.architecture")
    value = _metadata(model, f"{architecture}.pooling_type")
    kind = int(value) if value.isdigit() else _NONE
    is_causal = _metadata(model, f"{architecture}.attention.causal") != "false"
    if kind == _NONE and is_causal and llama_cpp.llama_model_has_decoder(model):
        return None
    is_qwen3 = architecture.startswith("qwen3")  # llama.cpp ranks these by the last token, others by the first
    return Pooling(
        type=kind if kind != _NONE else _MEAN,
        reads_pieces=is_causal and (kind == _LAST or (kind == _RANK and is_qwen3)),
        gives_probabilities=kind == _RANK and is_qwen3,
    )


class _Batch:
    """A `llama_batch` over arrays, so that filling it costs nothing beside computing it."""

    def __init__(self, size: int) -> None:
        self._tokens, self._positions, self._slots = (np.zeros(size, dtype=np.int32) for _ in range(3))
        self._num_slots = np.ones(size, dtype=np.int32)  # that each token belongs to
        step = self._slots.itemsize
        self._slot_pointers = np.arange(size, dtype=np.uintp) * step + self._slots.ctypes.data
        self._outputs = np.ones(size, dtype=np.int8)  # pooling takes all of them
        self.struct = llama_cpp.llama_batch()
        fields = (
            ("token", self._tokens),
            ("pos", self._positions),
            ("n_seq_id", self._num_slots),
            ("seq_id", self._slot_pointers),
            ("logits", self._outputs),
        )
        kinds: dict[str, Any] = {name: kind for name, kind, *_ in llama_cpp.llama_batch._fields_}
        for name, array in fields:
            setattr(self.struct, name, ctypes.cast(array.ctypes.data, kinds[name]))

    def fill(self, tokens: Integers, positions: Integers, slots: Integers) -> None:
        count = len(tokens)
        self._tokens[:count], self._positions[:count], self._slots[:count] = tokens, positions, slots
        self.struct.n_tokens = count


class LlamaEmbeddingRunner:
    """A loaded model that embeds or ranks. Satisfies `EmbeddingRunner`; create it with `load_embedding_runner`."""

    def __init__(
        self,
        model: llama_cpp.llama_model_p,
        context: llama_cpp.llama_context_p,
        pooling: Pooling,
        info: EngineInfo,
        log: LlamaLog,
    ) -> None:
        self.info = info
        self.embedding_length: int = 1 if pooling.type == _RANK else llama_cpp.llama_model_n_embd_out(model)
        self.gives_probabilities = pooling.gives_probabilities
        self._log = log  # llama.cpp keeps calling it
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)  # None: an encoder keeps nothing
        self._piece_tokens = llama_cpp.llama_n_batch(context)
        self._batch = _Batch(self._piece_tokens)
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self._rerank_template = _rerank_template(model)
        self.num_vocab: int = llama_cpp.llama_vocab_n_tokens(self._vocab)

    # --- words -----------------------------------------------------------------------------------------------------

    def tokenize_input(self, text: str) -> list[int]:
        """With the special tokens that the model wants around a text; such as stand in the text are only text."""
        return self._tokenize(text, add_special=True)

    def tokenize_pair(self, query: str, document: str) -> list[int]:
        """As the file's own template for ranking says, else as encoders are trained: query, separator, document."""
        if self._rerank_template is not None:
            return self._fill_template(self._rerank_template, query, document)
        vocab = self._vocab
        end = llama_cpp.llama_vocab_eos(vocab)
        ends = (
            [end if end >= 0 else llama_cpp.llama_vocab_sep(vocab)] if llama_cpp.llama_vocab_get_add_eos(vocab) else []
        )
        tokens = [llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else []
        tokens += [*self._tokenize(query), *ends]
        if llama_cpp.llama_vocab_get_add_sep(vocab):
            tokens.append(llama_cpp.llama_vocab_sep(vocab))
        return [*tokens, *self._tokenize(document), *ends]

    def _fill_template(self, template: str, query: str, document: str) -> list[int]:
        """Control tokens are parsed in the template, never in what is put into it."""
        tokens: list[int] = []
        for place, piece in enumerate(template.split("{query}")):
            tokens += self._tokenize(query) if place else []
            for number, text in enumerate(piece.split("{document}")):
                tokens += self._tokenize(document) if number else []
                tokens += self._tokenize(text, parse_special=True) if text else []
        return tokens

    def _tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            length = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, add_special, parse_special)
            if length >= 0:
                return buffer[:length]
            size = -length

    # --- computing -------------------------------------------------------------------------------------------------

    def compute(self, sequences: Items[Items[int]]) -> Matrix:
        rows = np.empty((len(sequences), self.embedding_length), dtype=np.float32)
        if self._memory is not None:
            llama_cpp.llama_memory_clear(self._memory, False)
        tokens = np.concatenate([np.asarray(sequence, dtype=np.int32) for sequence in sequences])
        lengths = [len(sequence) for sequence in sequences]
        slots = np.repeat(np.arange(len(sequences), dtype=np.int32), lengths)
        positions = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        for start in range(0, len(tokens), self._piece_tokens):
            piece = slice(start, start + self._piece_tokens)
            self._batch.fill(tokens[piece], positions[piece], slots[piece])
            self._compute_batch()
            for slot in range(slots[piece][0], slots[piece][-1] + 1):
                rows[slot] = self._vector(slot)  # of one that goes on in the next piece it is overwritten there
        return rows

    def _compute_batch(self) -> None:
        compute = llama_cpp.llama_encode if self._memory is None else llama_cpp.llama_decode
        if (status := compute(self._context, self._batch.struct)) != 0:
            raise RuntimeError(f"{compute.__name__} failed with {status}")

    def _vector(self, slot: int) -> Matrix:
        numbers = llama_cpp.llama_get_embeddings_seq(self._context, slot)
        if not numbers:
            raise RuntimeError("llama.cpp has no vector for a sequence")
        return np.ctypeslib.as_array(numbers, shape=(self.embedding_length,))


def load_embedding_runner(
    model: llama_cpp.llama_model_p, pooling: Pooling, info: EngineInfo, name: str, log: LlamaLog
) -> LlamaEmbeddingRunner:
    """Make the context of a loaded model that `info` describes. Raises LoadFailed or OutOfMemory, as the log tells."""
    if pooling.type == _RANK and not pooling.gives_probabilities and llama_cpp.llama_model_n_cls_out(model) != 1:
        raise LoadFailed(name, "it sorts texts into classes, which Glasshouse does not do.")
    asked = info.options
    longest = min(asked.context_tokens, llama_cpp.llama_model_n_ctx_train(model) or asked.context_tokens)
    batch_tokens = max(longest, MIN_BATCH_TOKENS)
    options = msgspec.structs.replace(
        asked, context_tokens=longest, kv_tokens=batch_tokens, batch_tokens=batch_tokens, kv_layout="shared"
    )
    context = llama_cpp.llama_init_from_model(model, _context_params(options, pooling))
    if context is None:
        raise log.lines.explain(name)
    info = msgspec.structs.replace(info, options=options, kind=pooling.kind, has_chat_template=False)
    runner = LlamaEmbeddingRunner(model, context, pooling, info, log)
    try:
        runner.compute([[0]])  # a compute buffer that does not fit shows now, not in an answer
    except RuntimeError:
        raise log.lines.explain(name) from None
    return runner


def _context_params(options: EngineOptions, pooling: Pooling) -> llama_cpp.llama_context_params:
    piece = min(PIECE_TOKENS, options.batch_tokens) if pooling.reads_pieces else options.batch_tokens
    params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    params.n_ctx = options.kv_tokens
    params.n_batch = params.n_ubatch = piece
    params.n_seq_max = options.num_slots
    params.n_threads = params.n_threads_batch = options.threads
    params.embeddings = True
    params.pooling_type = pooling.type
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    params.kv_unified = True  # one batch is one memory, whoever its sequences belong to
    return params


def _rerank_template(model: llama_cpp.llama_model_p) -> str | None:
    source = llama_cpp.llama_model_chat_template(model, b"rerank")
    return source.decode("utf-8", "replace") if source else None


def _metadata(model: llama_cpp.llama_model_p, key: str) -> str:
    """A value of the file's header as text; "" when it is not there."""
    buffer = ctypes.create_string_buffer(256)
    length = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if length >= 0 else ""
