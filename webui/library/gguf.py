"""What a GGUF file's header says about its model, in the words that the rest of Glasshouse uses.

It joins the parts of a split model and never reads tensor data. It does not know the machine, nor whether the model
fits it. Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's `llama-arch.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from webui.errors import DamagedGguf, UnsupportedModel
from webui.library.byte_reader import KnownArrays
from webui.library.ggml_types import FILE_TYPES, GUESSED_FILE_TYPE, REARRANGED
from webui.library.gguf_fields import GgufFields
from webui.library.gguf_file import GgufFile, parse_gguf_file
from webui.library.gguf_layers import (
    LayerMemory,
    head_lengths,
    layer_memories,
    num_kv_heads,
    recurrent_width,
    sliding_window,
)
from webui.library.split import list_parts
from webui.types import ModelKind

_Key = TypeVar("_Key", int, str)

_MAX_LAYERS = 4096
_RANK_POOLING = 4
_INPUT_TENSORS = ("token_embd", "per_layer_token_embd", "position_embd", "token_types")

# Architectures without a key that tells: models that embed or rank, and files that llama.cpp cannot chat with at all.
_EMBEDDING_ARCHITECTURES = frozenset(
    {"bert", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "eurobert"}
    | {"gemma-embedding", "t5encoder"}
)
_UNSUPPORTED_ARCHITECTURES = {
    "clip": "it is the image or sound reader (mmproj) of another model",
    "wavtokenizer-dec": "it turns codes into sound",
    "t5": "encoder-decoder models are not supported",
}
_UNSUPPORTED_KINDS = {
    "adapter": "it is an adapter (LoRA) for another model",
    "mmproj": "it is the image or sound reader (mmproj) of another model",
    "imatrix": "it is an importance matrix, made for quantizing a model",
}


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """One model (all its parts). Bytes are of the tensors as stored; 0 or "" means that the file does not say."""

    version: int
    architecture: str
    name: str
    kind: str  #: general.type: "model" nearly always
    num_parameters: int
    quantization: str  #: "Q4_K_M"
    file_bytes: int
    tensor_bytes: int
    num_parts: int
    context_train: int
    num_layers: int
    num_heads: int
    num_kv_heads: tuple[int, ...]  #: of every layer; 0 where a layer keeps no KV (recurrent layers)
    key_length: int  #: of one head
    value_length: int  #: 0 where the key holds the value too (MLA)
    layers: tuple[LayerMemory, ...]  #: what each of them remembers
    embedding_length: int
    feed_forward_length: int
    vocab_size: int
    num_merges: int  #: rules by which a BPE tokenizer joins pieces
    sliding_window: int  #: tokens; 0 without
    num_experts: int
    num_experts_used: int
    expert_length: int  #: the feed-forward length of one expert
    recurrent_width: int  #: numbers that go into a recurrent layer for each token
    pooling_type: int  #: llama.cpp's: 0 none, 1 mean, 2 CLS, 3 last, 4 rank
    is_causal: bool
    chat_template: str | None
    layer_bytes: tuple[int, ...]  #: of every layer
    input_bytes: int  #: the token embeddings, which stay in RAM
    is_rearranged: bool  #: some weights are of a type that llama.cpp rearranges when it loads them
    output_bytes: int  #: what stands behind the last layer
    has_output: bool  #: False: the output layer shares the token embeddings

    @property
    def is_adapter(self) -> bool:
        """A LoRA: no model, but a change to one of the same architecture."""
        return self.kind == "adapter"

    @property
    def is_embedding(self) -> bool:
        """Made to embed or to rank, not to write."""
        return self.pooling_type != 0 or self.architecture in _EMBEDDING_ARCHITECTURES

    @property
    def model_kind(self) -> ModelKind | None:
        """What the model is made for; None: something that Glasshouse does not run."""
        if self.unsupported_reason is not None:
            return None
        if self.pooling_type == _RANK_POOLING:
            return "rerank"
        if self.is_embedding:
            return "embedding"
        return "chat" if self.is_causal else None

    @property
    def is_chat(self) -> bool:
        return self.model_kind == "chat"

    @property
    def unsupported_reason(self) -> str | None:
        """Why llama.cpp cannot run this file as a model, or None when it can."""
        return _UNSUPPORTED_ARCHITECTURES.get(self.architecture) or _UNSUPPORTED_KINDS.get(self.kind)


def read_header(path: Path, known: KnownArrays | None = None) -> GgufHeader:
    """The header of the model at `path`; for a split model `path` is any part and all parts are needed. Whoever reads
    many files passes one `known` to all of these calls.

    Raises NotGguf, DamagedGguf (tensors that reach beyond the end of the file, a missing part) or UnsupportedModel (a
    GGUF version or tensor type that llama.cpp cannot read), and OSError when a file cannot be opened.
    """
    return describe(read_parts(path, known), path.name)


def read_parts(path: Path, known: KnownArrays | None = None) -> list[GgufFile]:
    """All parts of the model at `path`, the first one first. Raises like `read_header`."""
    parts = list_parts(path)
    missing = [number for number, part in enumerate(parts, 1) if not part.is_file()]
    if missing and len(parts) > 1:
        raise DamagedGguf(path.name, f"part {missing[0]} of {len(parts)} is missing")
    return [parse_gguf_file(part, known=known) for part in parts]


def check_part(path: Path, name: str) -> None:
    """Whether one file is whole by itself, be it a model or a part of one. Raises like `read_header`."""
    parse_gguf_file(path, name)


def ensure_chat_model(header: GgufHeader, name: str) -> None:
    """Raises UnsupportedModel for what is not made to chat."""
    if header.unsupported_reason is not None:
        raise UnsupportedModel(name, header.unsupported_reason)
    if header.is_embedding:
        raise UnsupportedModel(name, "it is made for search and embeddings, not for writing")
    if not header.is_causal:
        raise UnsupportedModel(name, "it does not write from left to right (a diffusion or encoder model)")


def describe(files: list[GgufFile], name: str) -> GgufHeader:
    """The header of a model whose parts are `files`; `name` is for the messages."""
    if files[0].metadata.get("general.type") == "imatrix":  # the only kind that names no architecture
        raise UnsupportedModel(name, _UNSUPPORTED_KINDS["imatrix"])
    fields = GgufFields(files[0].metadata, name)
    num_layers = fields.count("block_count", limit=_MAX_LAYERS)
    heads = fields.per_layer("attention.head_count", num_layers)
    num_heads = max(heads, default=0)
    kv_heads = num_kv_heads(fields, num_layers)
    lengths = head_lengths(fields, num_heads)
    other = sum_tables([file.other_bytes for file in files])
    layers = sum_tables([file.layer_bytes for file in files])
    input_bytes = sum(size for tensor, size in other.items() if tensor.startswith(_INPUT_TENSORS))
    return GgufHeader(
        version=files[0].version,
        architecture=fields.architecture,
        name=fields.text("general.name").strip(),
        kind=fields.text("general.type") or "model",
        num_parameters=sum(file.num_elements for file in files),
        quantization=_quantization(fields, files),
        file_bytes=sum(file.file_bytes for file in files),
        tensor_bytes=sum(file.tensor_bytes for file in files),
        num_parts=len(files),
        context_train=fields.count("context_length"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        key_length=lengths.full[0],
        value_length=lengths.full[1],
        layers=layer_memories(fields, num_heads, kv_heads, lengths),
        embedding_length=fields.count("embedding_length"),
        feed_forward_length=max(fields.per_layer("feed_forward_length", num_layers), default=0),
        vocab_size=files[0].array_lengths.get("tokenizer.ggml.tokens", 0) or fields.count("vocab_size"),
        num_merges=files[0].array_lengths.get("tokenizer.ggml.merges", 0),
        sliding_window=sliding_window(fields),
        num_experts=fields.count("expert_count"),
        num_experts_used=fields.count("expert_used_count") if _has_expert_layers(fields, num_layers) else 0,
        expert_length=fields.count("expert_feed_forward_length"),
        recurrent_width=recurrent_width(fields),
        pooling_type=fields.count("pooling_type"),
        is_causal=bool(fields.count("attention.causal", 1)),
        chat_template=fields.text("tokenizer.chat_template") or None,
        layer_bytes=tuple(layers.get(number, 0) for number in range(num_layers)),
        input_bytes=input_bytes,
        is_rearranged=any(name in REARRANGED for file in files for name in file.type_bytes),
        output_bytes=sum(other.values()) - input_bytes,
        has_output="output.weight" in other,
    )


def _has_expert_layers(fields: GgufFields, num_layers: int) -> bool:
    return fields.count("leading_dense_block_count") < num_layers


def _quantization(fields: GgufFields, files: list[GgufFile]) -> str:
    """What the file says, else the type that most of its bytes have."""
    sizes = sum_tables([file.type_bytes for file in files])
    value = fields.number("general.file_type")
    said = FILE_TYPES.get(int(value) & ~GUESSED_FILE_TYPE, "") if value is not None else ""
    return said or max(sizes, key=lambda name: sizes[name], default="")


def sum_tables(tables: list[dict[_Key, int]]) -> dict[_Key, int]:
    """What the parts of a model have together."""
    total: dict[_Key, int] = {}
    for table in tables:
        for key, size in table.items():
            total[key] = total.get(key, 0) + size
    return total
