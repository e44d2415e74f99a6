"""Models to change: tiny ones with random weights, what is in them, and what they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
from gguf import quants
from numpy.typing import NDArray

Logits = NDArray[np.float32]

WIDTH, WIDE, VOCABULARY = 256, 512, 320  #: rows of 256 numbers, so that every quantization is possible


def write_wide_model(path: Path, *, alignment: int | None = None) -> Path:
    """One layer of a llama with rows long enough for K-quants; not one that can be loaded to chat."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_name("Wide")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_token_list([f"token{number}" for number in range(VOCABULARY)])
    writer.add_chat_template("{{ messages[0].content }}")
    writer.add_array("custom.numbers", [1.5, 2.5])
    shapes = {
        "token_embd": (VOCABULARY, WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.ffn_down": (WIDTH, WIDE),
        "blk.0.ffn_up": (WIDE, WIDTH),
        "output": (VOCABULARY, WIDTH),
    }
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(WIDTH, dtype=np.float32))
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float16))
    writer.add_tensor("blk.0.odd.bias", np.arange(7, dtype=np.float32))  # 28 bytes: needs padding
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_imatrix(path: Path, model: Path, *, damaged: bool = False) -> Path:
    """As llama.cpp's imatrix tool writes it, for every matrix of a model."""
    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "")
    writer.add_type("imatrix")
    for tensor in gguf.GGUFReader(model).tensors:
        if len(tensor.shape) == 2:
            length = int(tensor.shape[0]) + damaged
            writer.add_tensor(f"{tensor.name}.in_sum2", random.random((1, length), dtype=np.float32) + 1)
            writer.add_tensor(f"{tensor.name}.counts", np.full((1, 1), 4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_digests(*paths: Path) -> dict[str, str]:
    """Type, shape and bytes of every tensor, read by llama.cpp's own package."""
    digests = {}
    for tensor in (tensor for path in paths for tensor in gguf.GGUFReader(path).tensors):
        digest = hashlib.sha256(tensor.data.tobytes()).hexdigest()
        digests[tensor.name] = f"{tensor.tensor_type.name} {list(tensor.shape)} {digest}"
    return digests


def metadata(path: Path) -> dict[str, object]:
    """By llama.cpp's own package; what it says of the file itself is left out."""
    fields = gguf.GGUFReader(path).fields
    return {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}


def tensor_types(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}


def floats_of(path: Path, name: str) -> Logits:
    tensor = next(each for each in gguf.GGUFReader(path).tensors if each.name == name)
    return quants.dequantize(tensor.data, tensor.tensor_type)


def cosine(one: Sequence[float] | Logits, other: Sequence[float] | Logits) -> float:
    a, b = np.asarray(one, dtype=np.float64).ravel(), np.asarray(other, dtype=np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
