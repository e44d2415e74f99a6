"""Small GGUF files to test with: real ones by llama.cpp's own writer, and hostile ones byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

LAYERS = 2
WIDTH = 64


def write_model(
    path: Path,
    *,
    architecture: str = "llama",
    name: str = "Tiny Test",
    vocab: int = 300,
    kv_heads: int | list[int] = 2,
    file_type: int | None = 15,
    more: Callable[[gguf.GGUFWriter], object] = lambda _: None,
) -> Path:
    """Two layers of 64 numbers, two KV heads of four: a few kilobytes that a reader takes for a model."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_block_count(LAYERS)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(kv_heads)
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_token_list([f"token{number}" for number in range(vocab)])
    writer.add_token_scores([0.0] * vocab)
    writer.add_chat_template("{{ messages[0].content }}")
    more(writer)
    writer.add_tensor("token_embd.weight", np.zeros((16, WIDTH), dtype=np.float32))
    for layer in range(LAYERS):
        writer.add_tensor(f"blk.{layer}.attn_q.weight", np.zeros((WIDTH, WIDTH), dtype=np.float16))
    writer.add_tensor("output_norm.weight", np.zeros(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_split_model(folder: Path, stem: str, count: int = 3) -> list[Path]:
    """Every part holds one tensor; only the first tells what the model is, as gguf-split writes them."""
    parts = []
    for number in range(count):
        path = folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if number == 0:
            writer.add_block_count(count)
            writer.add_context_length(2048)
            writer.add_embedding_length(WIDTH)
            writer.add_head_count(4)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_tensor(f"blk.{number}.attn_q.weight", np.zeros((WIDTH, WIDTH), dtype=np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        parts.append(path)
    return parts


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def text_entry(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def number_entry(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<IQ", 10, value)


def array_entry(key: str, kind: int, length: int, content: bytes = b"") -> bytes:
    return text(key) + struct.pack("<IIQ", 9, kind, length) + content


def tensor(name: str, dimensions: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def raw_gguf(
    *entries: bytes,
    tensors: tuple[bytes, ...] = (),
    data: bytes = b"",
    version: int = 3,
    num_entries: int | None = None,
    num_tensors: int | None = None,
) -> bytes:
    """A file from its pieces; the counts may lie."""
    all_entries = (text_entry("general.architecture", "llama"), *entries)
    counts = struct.pack(
        "<IQQ",
        version,
        len(tensors) if num_tensors is None else num_tensors,
        len(all_entries) if num_entries is None else num_entries,
    )
    head = b"GGUF" + counts + b"".join(all_entries) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data
