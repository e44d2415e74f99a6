"""What a person wants to know of a model before loading it: everything `glasshouse show` and the model's sheet print.

As its files tell it; whether it fits this machine is `memory_fit`'s, and what a person wrote about it is kept
elsewhere. "", 0 and None mean that the files do not say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from webui.types import ModelFile, Value

Capability = Literal["chat", "tools", "thinking", "vision", "audio", "embedding", "rerank", "infill"]


class TypeShare(Value, frozen=True):
    """How much of a model is stored as one tensor type."""

    name: str  #: "Q4_K"
    bytes: int
    num_tensors: int


class BaseModel(Value, frozen=True):
    """A model that this one was made from."""

    name: str
    organization: str = ""
    url: str = ""  #: http(s) only


class SamplingHints(Value, frozen=True):
    """How its makers want it sampled (`general.sampling.*`); None: they do not say."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None


class ModelDetails(Value, frozen=True):
    """One model, all its parts. `model` has what the list shows: id, name, path, size, architecture, parameters,
    quantization, trained context, kind and problem."""

    model: ModelFile
    parts: tuple[Path, ...]
    gguf_version: int
    type_shares: tuple[TypeShare, ...]  #: the largest first
    bits_per_weight: float
    num_tensors: int
    num_layers: int
    num_heads: int
    num_kv_heads: int  #: of the layer with the most
    head_length: int  #: numbers of one key
    embedding_length: int
    feed_forward_length: int
    num_experts: int
    num_experts_used: int
    sliding_window: int  #: tokens; 0 without
    num_window_layers: int  #: layers that see the sliding window only
    num_recurrent_layers: int  #: layers that keep a state in place of KV
    rope_scaling: str  #: "yarn", "linear", ...
    context_before_scaling: int
    vocab_size: int
    tokenizer: str  #: llama.cpp's name of its kind: "gpt2", "llama", "bert", ...
    pre_tokenizer: str
    adds_bos: bool | None
    chat_template: str | None
    named_templates: tuple[tuple[str, str], ...]  #: further templates of the file, such as "tool_use"
    capabilities: frozenset[Capability]
    mmproj: Path | None  #: the image or sound reader that lies beside it
    license: str  #: "apache-2.0"
    license_url: str  #: http(s) only
    languages: tuple[str, ...]
    tags: tuple[str, ...]
    author: str
    organization: str
    description: str
    url: str  #: http(s) only
    quantized_by: str
    base_models: tuple[BaseModel, ...]
    sampling: SamplingHints
