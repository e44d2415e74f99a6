"""Tiny embedding and rerank models with random weights, written as real GGUFs that llama.cpp loads in milliseconds.

What they compute means nothing, but it depends on every token and its place, so a wrong batch is a wrong vector.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, WIDE = 2, 32, 4, 64
BERT_CONTEXT = 128
DECODER_CONTEXT = 1024
WORDS = ("red", "green", "blue", "a", "the", "fox", "jumps", "over", "lazy", "dog", "sea", "is", "one", "two", "three")
PAD, UNKNOWN, CLS, SEP = range(4)
END = 256  #: the decoder's end of text
RERANK_TEMPLATE = "Q: {query}<|endoftext|>D: {document}<|endoftext|>"


def write_bert(path: Path, *, pooling: gguf.PoolingType = gguf.PoolingType.MEAN, seed: int = 1) -> Path:
    """An encoder as MiniLM or BGE are; with pooling RANK it has a classifier head with one output."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "bert")
    _describe(writer, BERT_CONTEXT)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_layer_norm_eps(1e-12)
    vocabulary = _add_bert_vocabulary(writer)
    _add(writer, random, "token_embd.weight", len(vocabulary), WIDTH)
    _add(writer, random, "token_types.weight", 2, WIDTH)
    _add(writer, random, "position_embd.weight", BERT_CONTEXT, WIDTH)
    _add_norm(writer, random, "token_embd_norm")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            _add_linear(writer, random, f"blk.{layer}.{name}", WIDTH, WIDTH)
        _add_linear(writer, random, f"blk.{layer}.ffn_up", WIDE, WIDTH)
        _add_linear(writer, random, f"blk.{layer}.ffn_down", WIDTH, WIDE)
        _add_norm(writer, random, f"blk.{layer}.attn_output_norm")
        _add_norm(writer, random, f"blk.{layer}.layer_output_norm")
    if pooling is gguf.PoolingType.RANK:
        _add_linear(writer, random, "cls", WIDTH, WIDTH)
        _add_linear(writer, random, "cls.output", 1, WIDTH)
    return _finish(writer, path)


def write_decoder(path: Path, *, pooling: gguf.PoolingType | None = gguf.PoolingType.LAST, seed: int = 2) -> Path:
    """A decoder as Qwen3-Embedding is: causal, the vector of the last token. Pooling RANK: as Qwen3-Reranker, with the
    odds of yes and no, and a template for the pair. Pooling None: a chat model."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen3")
    _describe(writer, DECODER_CONTEXT)
    writer.add_head_count_kv(2)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    vocabulary = _add_byte_vocabulary(writer)
    _add(writer, random, "token_embd.weight", len(vocabulary), WIDTH)
    for layer in range(LAYERS):
        for name, size in (("attn_q", WIDTH), ("attn_k", WIDTH // 2), ("attn_v", WIDTH // 2), ("attn_output", WIDTH)):
            _add(writer, random, f"blk.{layer}.{name}.weight", size, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            _add(writer, random, f"blk.{layer}.{name}.weight", WIDE, WIDTH)
        _add(writer, random, f"blk.{layer}.ffn_down.weight", WIDTH, WIDE)
        for name, size in (("attn_norm", WIDTH), ("ffn_norm", WIDTH), ("attn_q_norm", 8), ("attn_k_norm", 8)):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(size, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    if pooling is gguf.PoolingType.RANK:
        writer.add_classifier_output_labels(["yes", "no"])
        writer.add_chat_template([{"name": "rerank", "template": RERANK_TEMPLATE}])
        _add(writer, random, "cls.output.weight", 2, WIDTH)
    return _finish(writer, path)


def _describe(writer: gguf.GGUFWriter, context: int) -> None:
    writer.add_name("Tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_bert_vocabulary(writer: gguf.GGUFWriter) -> list[str]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [letter for letter in map(chr, range(33, 127)) if letter == letter.lower()]
    words = [f"▁{word}" for word in [*WORDS, *(letter for letter in letters if letter not in WORDS)]] + letters
    writer.add_tokenizer_model("bert")
    writer.add_token_list(special + words)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.NORMAL] * len(words))
    writer.add_token_type_count(2)
    for key, token in (("bos", CLS), ("sep", SEP), ("eos", SEP), ("unk", UNKNOWN), ("pad", PAD)):
        getattr(writer, f"add_{key}_token_id")(token)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_sep_token(False)
    return special + words


def _add_byte_vocabulary(writer: gguf.GGUFWriter) -> list[str]:
    """Every byte is a token, as GPT-2 spells it, and the end of the text one more, which ends every input."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*spelled, "<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
    return [*spelled, "<|endoftext|>"]


def _add(writer: gguf.GGUFWriter, random: np.random.Generator, name: str, *shape: int) -> None:
    scale = 2.0 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.1
    writer.add_tensor(name, (random.standard_normal(shape) * scale).astype(np.float32))


def _add_linear(writer: gguf.GGUFWriter, random: np.random.Generator, name: str, rows: int, columns: int) -> None:
    _add(writer, random, f"{name}.weight", rows, columns)
    _add(writer, random, f"{name}.bias", rows)


def _add_norm(writer: gguf.GGUFWriter, random: np.random.Generator, name: str) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    _add(writer, random, f"{name}.bias", WIDTH)


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
