"""What the parts of a loaded model take, in bytes, from the numbers of its header.

The terms were checked against the buffer sizes that llama.cpp logs and the resident memory of loaded models (see
tests/library/test_memory_fit_real.py). It does not know the machine nor decide anything; `memory_fit` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.library.gguf import GgufHeader
from webui.types import EngineOptions, FlashAttention, KvLayout, KvType

KV_STEP = 256  #: llama.cpp rounds the KV memory of a stream up to so many cells
SPARE_OUTPUTS = 16  #: rows of logits for guessed tokens; the engine's number (its context_size.py)

_BLOCK_BYTES: dict[KvType, int] = {"f16": 64, "q8_0": 34, "q4_0": 18}  # of 32 numbers
_BLOCK_LENGTH = 32
_FLOAT_BYTES = 4
_PROCESS_BYTES = 65_000_000  # the interpreter, llama.cpp and the protocol, without a model
_TOKEN_BYTES = 150  # the tokenizer's tables, for each token of the vocabulary and each of its merges
_MERGE_BYTES = 140
_RECURRENT_EIGHTHS = 15  # of what goes into a recurrent layer: measured for Mamba, Mamba 2 and Falcon-H1


@dataclass(frozen=True, slots=True)
class KvShape:
    """The KV memory of an engine: `num_streams` memories of `cells` each, for `num_slots` sequences."""

    layout: KvLayout
    num_slots: int
    context_tokens: int
    kv_tokens: int  #: all slots together

    @classmethod
    def separate(cls, num_slots: int, context_tokens: int) -> KvShape:
        return cls("separate", num_slots, context_tokens, num_slots * context_tokens)

    @classmethod
    def shared(cls, num_slots: int, context_tokens: int, kv_tokens: int) -> KvShape:
        return cls("shared", num_slots, context_tokens, kv_tokens)

    @property
    def num_streams(self) -> int:
        return self.num_slots if self.layout == "separate" else 1

    @property
    def cells(self) -> int:
        """Of one stream, which is what attention walks over."""
        return round_up(self.kv_tokens // self.num_streams)


class ModelSizes:
    """The header's terms in bytes. KV memory is laid out by a `KvShape`, its numbers stored as `kv_type`."""

    def __init__(self, header: GgufHeader, kv_type: KvType, flash_attention: FlashAttention) -> None:
        self.batch = EngineOptions(context_tokens=0, kv_tokens=0, num_slots=1).batch_tokens
        self.weights = header.tensor_bytes - (header.input_bytes if header.is_rearranged and header.has_output else 0)
        self.num_layers = header.num_layers
        self.layer_weights = header.layer_bytes
        block = _BLOCK_BYTES[kv_type]
        self._kv_per_token = tuple((layer.keys + layer.values) * block // _BLOCK_LENGTH for layer in header.layers)
        self._states = tuple(layer.state * _FLOAT_BYTES for layer in header.layers)  # for each slot
        self._swa_layers = tuple(layer.is_window for layer in header.layers)
        # Behind the last layer. Tied embeddings: a GPU that takes it gets a copy of the input embeddings.
        self.output = header.output_bytes if header.has_output else header.output_bytes + header.input_bytes
        self._own_output = header.output_bytes
        self._width = _widest_row(header)
        self._window = header.sliding_window
        self._vocab_size = header.vocab_size
        self._num_merges = header.num_merges
        # Attention for one token and one cell: the F16 mask; without flash attention F32, and every head's scores.
        self._pair = (1 + header.num_heads) * _FLOAT_BYTES if flash_attention == "off" else 2

    @property
    def process(self) -> int:
        """RAM of the engine before there is any KV memory, the weights left out."""
        return _PROCESS_BYTES + self.vocabulary

    @property
    def vocabulary(self) -> int:
        return self._vocab_size * _TOKEN_BYTES + self._num_merges * _MERGE_BYTES

    @property
    def kv_per_token(self) -> int:
        """What one more token takes once the sliding windows are full."""
        return sum(size for size, is_swa in zip(self._kv_per_token, self._swa_layers, strict=True) if not is_swa)

    def kv(self, shape: KvShape) -> int:
        return sum(self.layer_kv(shape))

    def compute(self, shape: KvShape) -> int:
        """Activations of the widest layer, and attention of a whole batch over a stream; logits for each slot and for
        guesses, as handed out: they are computed where the activations were."""
        logits = (shape.num_slots + SPARE_OUTPUTS) * self._vocab_size * _FLOAT_BYTES
        activations = self.batch * self._width * _FLOAT_BYTES + max(self._states, default=0) * shape.num_slots
        return max(activations, logits) + self.batch * self._masked_cells(shape) * self._pair + logits

    def _masked_cells(self, shape: KvShape) -> int:
        """Of a stream, once for layers that see everything and once for those that see a window."""
        sees = {is_window for size, is_window in zip(self._kv_per_token, self._swa_layers, strict=True) if size}
        return shape.cells * (False in sees) + self._window_cells(shape) * (True in sees)

    def offloaded_weights(self, num_offloaded: int) -> int:
        """Weights that leave RAM; tied embeddings are copied and stay."""
        if not num_offloaded:
            return 0
        return self._own_output + sum(self.layer_weights[max(0, self.num_layers + 1 - num_offloaded) :])

    def layer_kv(self, shape: KvShape) -> list[int]:
        """Of every layer."""
        full = shape.cells * shape.num_streams
        window = min(shape.cells, self._window_cells(shape)) * shape.num_streams
        return [
            size * (window if is_window else full) + state * shape.num_slots
            for size, state, is_window in zip(self._kv_per_token, self._states, self._swa_layers, strict=True)
        ]

    def _window_cells(self, shape: KvShape) -> int:
        """A sliding-window layer keeps the window of each sequence in the stream, and a batch."""
        return round_up(self._window * (shape.num_slots // shape.num_streams) + self.batch)


def _widest_row(header: GgufHeader) -> int:
    """Numbers for each token of a batch where a layer needs the most at once: what comes in, queries and the like, and
    the widest products: a feed-forward's, a recurrent layer's, or those of all the experts that are used."""
    width, used, wide = header.embedding_length, header.num_experts_used, header.expert_length
    recurrent = header.recurrent_width * _RECURRENT_EIGHTHS // 8
    experts = used * max(3 * wide, wide + width)
    return max(6 * width + max(2 * header.feed_forward_length, recurrent), 4 * width + experts)


def round_up(tokens: int) -> int:
    return -(-tokens // KV_STEP) * KV_STEP
