"""Writes a GGUF with random weights in the shape of Qwen2.5-1.5B at Q4_K_M: as much to read and to multiply as the
real one, and nothing to download.

28 layers of 1536 (8960 in the feed-forward part), 12 heads over 2 KV heads, 151,936 tokens, the embedding tied to the
output; types of tensors as llama.cpp's `Q4_K_M` mixes them. Blocks are random bytes under sane scales: every bit
pattern of a Q4_K or Q6_K block is valid. The tokenizer is that of another model file, padded with unused tokens. Only
plain words have a row in the embedding, so that every token it writes is visible text and none of them ends the answer.

It knows nothing of benchmarks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Blocks = npt.NDArray[np.uint8]

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY = 28, 1536, 8960, 12, 2, 151_936
_KV_WIDTH = WIDTH // HEADS * KV_HEADS
_WORD = re.compile("Ġ[a-z]{2,}")  # Ġ is how byte-level BPE writes the space before a word
_BLOCK = 256  #: weights of one block of the K types
_SPREAD = 0.02  #: standard deviation of the weights
_Q4_K, _Q6_K = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K


@dataclass(frozen=True)
class Shape:
    """The sizes of the file. `repeats` writes one that says the same word for ever: its layers add nothing, so
    that the most probable next token is the last one."""

    layers: int = LAYERS
    vocabulary: int = VOCABULARY
    repeats: bool = False
    seed: int = 1


def write_random_qwen(path: Path, tokenizer_from: Path, shape: Shape = Shape()) -> None:
    """Write the file; it appears whole or not at all."""
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "qwen2")
    _add_hyperparameters(writer, shape)
    words = _add_tokenizer(writer, tokenizer_from, shape.vocabulary)
    _add_tensors(writer, shape, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)


def _add_hyperparameters(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("Random Qwen2.5 1.5B")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_context_length(32_768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)


def _add_tokenizer(writer: gguf.GGUFWriter, source: Path, vocabulary: int) -> npt.NDArray[np.bool_]:
    """Copy the tokenizer of `source`, padded; says which tokens are plain words."""
    fields = gguf.GGUFReader(source).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    padding = vocabulary - len(tokens)
    for key, field in fields.items():
        if not key.startswith("tokenizer."):
            continue
        value = field.contents()
        if key == "tokenizer.ggml.tokens":
            writer.add_token_list(tokens + [f"[unused{number}]" for number in range(padding)])
        elif key == "tokenizer.ggml.token_type":
            writer.add_token_types(kinds + [int(gguf.TokenType.UNUSED)] * padding)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, field.types[0])
    return np.array([bool(_WORD.fullmatch(token)) for token in tokens] + [False] * padding)


def _add_tensors(writer: gguf.GGUFWriter, shape: Shape, words: npt.NDArray[np.bool_]) -> None:
    random = np.random.default_rng(shape.seed)
    added = 0.0 if shape.repeats else 1.0
    embedding = _q6_k(random, shape.vocabulary, WIDTH)
    embedding.reshape(shape.vocabulary, -1, 210)[~words, :, 208:] = 0  # the scale of a block: the row is all zeros
    writer.add_tensor("token_embd.weight", embedding, raw_dtype=_Q6_K)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(shape.layers):
        better = _gets_more_bits(layer, shape.layers)
        for name, rows, columns, is_better, scale in (
            ("attn_q", WIDTH, WIDTH, False, 1.0),
            ("attn_k", _KV_WIDTH, WIDTH, False, 1.0),
            ("attn_v", _KV_WIDTH, WIDTH, better, 1.0),
            ("attn_output", WIDTH, WIDTH, False, added),
            ("ffn_gate", FEED_FORWARD, WIDTH, False, 1.0),
            ("ffn_up", FEED_FORWARD, WIDTH, False, 1.0),
            ("ffn_down", WIDTH, FEED_FORWARD, better, added),
        ):
            quantize, kind = (_q6_k, _Q6_K) if is_better else (_q4_k, _Q4_K)
            writer.add_tensor(f"blk.{layer}.{name}.weight", quantize(random, rows, columns, scale), raw_dtype=kind)
        for name, size in (("attn_q", WIDTH), ("attn_k", _KV_WIDTH), ("attn_v", _KV_WIDTH)):
            bias = random.normal(0, _SPREAD, size).astype(np.float32)
            writer.add_tensor(f"blk.{layer}.{name}.bias", bias)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))


def _gets_more_bits(layer: int, layers: int) -> bool:
    """llama.cpp's `use_more_bits` (src/llama-quant.cpp): Q6_K for some of the layers' attn_v and ffn_down."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _q4_k(random: np.random.Generator, rows: int, columns: int, scale: float = 1.0) -> Blocks:
    """Random Q4_K blocks: f16 scale, f16 scale of the minimums, 12 bytes of 6-bit scales, 128 bytes of weights.

    A weight is d · scale · q - dmin · minimum, scale and minimum uniform in 0…63, q in 0…15: with dmin = 7.5 d the
    mean is zero and the standard deviation 258 d.
    """
    blocks = _random_bytes(random, rows, columns, 144)
    d = _SPREAD * scale / 258
    blocks[..., 0:2] = _half(d)
    blocks[..., 2:4] = _half(7.5 * d)
    return blocks.reshape(rows, -1)


def _q6_k(random: np.random.Generator, rows: int, columns: int, scale: float = 1.0) -> Blocks:
    """Random Q6_K blocks: 192 bytes of weights, 16 signed scales, one f16. A weight is d · scale · (q - 32): its mean
    is zero, its standard deviation 1366 d."""
    blocks = _random_bytes(random, rows, columns, 210)
    blocks[..., 208:210] = _half(_SPREAD * scale / 1366)
    return blocks.reshape(rows, -1)


def _random_bytes(random: np.random.Generator, rows: int, columns: int, block_bytes: int) -> Blocks:
    shape = (rows, columns // _BLOCK, block_bytes)
    return np.frombuffer(random.bytes(int(np.prod(shape))), np.uint8).reshape(shape).copy()


def _half(value: float) -> Blocks:
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)
