"""What each layer of a model remembers of a conversation: heads of KV, a sliding window of it, a recurrent state.

The rules are llama.cpp's (`llama-hparams.cpp`, and the `load_arch_hparams` of each architecture). It does not know
bytes: how the numbers are stored is decided when a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.library.gguf_fields import GgufFields

# Every n-th layer attends to everything, the others to a sliding window, where the file does not say which (llama.cpp
# knows them by architecture: `set_swa_pattern`).
_SWA_PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2} | dict.fromkeys(
    ("cohere2", "exaone4", "exaone-moe", "olmo2", "afmoe", "llama4", "smallthinker"), 4
)
_FULL_FIRST = {"smallthinker"}  # of each group the first layer, not the last, attends to everything
_CHUNKED = {"llama4": 8192}  # tokens; the file need not say
_FULL_INTERVALS = dict.fromkeys(("qwen3next", "qwen35", "qwen35moe"), 4)  # where the file does not say
_BOTH = {"falcon-h1"}  # every layer attends and remembers
_PLAIN_LAYERS = {"nemotron_h", "nemotron_h_moe"}  # without KV and with a feed-forward: they remember nothing


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """One layer. `keys` and `values` are numbers for each token, `state` those that it keeps for each sequence."""

    keys: int = 0
    values: int = 0
    state: int = 0
    is_window: bool = False  #: it sees the sliding window only


@dataclass(frozen=True, slots=True)
class HeadLengths:
    """Numbers of one key and one value: where a layer sees everything, and where it sees the window."""

    full: tuple[int, int]
    window: tuple[int, int]


def head_lengths(fields: GgufFields, num_heads: int) -> HeadLengths:
    """Latent attention (MLA) keeps a compressed key whose first part is the value as well."""
    usual = fields.count("embedding_length") // num_heads if num_heads else 0
    keys, values = fields.count("attention.key_length", usual), fields.count("attention.value_length", usual)
    if fields.count("attention.key_length_mla") and fields.count("attention.value_length_mla"):
        values = 0
    window = fields.count("attention.key_length_swa", keys), fields.count("attention.value_length_swa", values)
    return HeadLengths((keys, values), window)


def layer_memories(
    fields: GgufFields, num_heads: int, kv_heads: tuple[int, ...], lengths: HeadLengths
) -> tuple[LayerMemory, ...]:
    """Of every layer; equal ones are one object."""
    windows = _window_layers(fields, len(kv_heads))
    recurrent = _recurrent_layers(fields, kv_heads)
    state = _recurrent_state(fields, num_heads)
    known: dict[LayerMemory, LayerMemory] = {}
    layers = []
    for heads, is_window, is_recurrent in zip(kv_heads, windows, recurrent, strict=True):
        keys, values = lengths.window if is_window else lengths.full
        layer = LayerMemory(heads * keys, heads * values, state if is_recurrent else 0, is_window)
        layers.append(known.setdefault(layer, layer))
    return tuple(layers)


def num_kv_heads(fields: GgufFields, num_layers: int) -> tuple[int, ...]:
    """Of every layer; 0 where it keeps no KV. Files without the key have as many as heads; hybrids attend only in every
    n-th layer; some models let their last layers use the KV of earlier ones."""
    key = "attention.head_count_kv" if fields.has("attention.head_count_kv") else "attention.head_count"
    heads = fields.per_layer(key, num_layers)
    interval = fields.count("full_attention_interval", _FULL_INTERVALS.get(fields.architecture, 0))
    num_own = num_layers - fields.count("attention.shared_kv_layers") - fields.count("nextn_predict_layers")
    return tuple(
        count if layer < num_own and (interval < 2 or (layer + 1) % interval == 0) else 0
        for layer, count in enumerate(heads)
    )


def _window_layers(fields: GgufFields, num_layers: int) -> tuple[bool, ...]:
    """The layers that see the sliding window only. The pattern is one number (every n-th layer sees everything) or one
    truth for each layer."""
    key = "attention.sliding_window_pattern"
    if not sliding_window(fields):
        return (False,) * num_layers
    if fields.has(key):
        pattern = fields.per_layer(key, num_layers)
    else:
        pattern = (_SWA_PATTERNS.get(fields.architecture, 1),) * num_layers
    if len(set(pattern)) == 1:
        period = pattern[0]
        full = 0 if fields.architecture in _FULL_FIRST else period - 1
        return tuple(period > 1 and layer % period != full for layer in range(num_layers))
    return tuple(bool(each) for each in pattern)


def sliding_window(fields: GgufFields) -> int:
    """Tokens; 0 without."""
    return fields.count("attention.sliding_window", _CHUNKED.get(fields.architecture, 0))


def _recurrent_state(fields: GgufFields, num_heads: int) -> int:
    """Numbers that a recurrent layer keeps for each sequence: what its convolution still needs, and its state
    (llama.cpp's `n_embd_r` and `n_embd_s`)."""
    width = fields.count("embedding_length")
    kernel = max(1, fields.count("ssm.conv_kernel"))
    if head_size := fields.count("wkv.head_size"):
        return width * (fields.count("token_shift_count", 2) + head_size)
    if length := fields.count("shortconv.l_cache"):
        return width * (length - 1)
    if head_size := fields.count("kda.head_dim"):
        return num_heads * head_size * (3 * (kernel - 1) + head_size)
    state, inner = fields.count("ssm.state_size"), fields.count("ssm.inner_size")
    return (kernel - 1) * (inner + 2 * fields.count("ssm.group_count") * state) + state * inner


def recurrent_width(fields: GgufFields) -> int:
    """Numbers that go into a recurrent layer for each token: what it keeps or forgets, and by how much."""
    inner, groups = fields.count("ssm.inner_size"), fields.count("ssm.group_count")
    return 2 * inner + 2 * groups * fields.count("ssm.state_size")


def _recurrent_layers(fields: GgufFields, kv_heads: tuple[int, ...]) -> tuple[bool, ...]:
    if fields.architecture in _BOTH:
        return (True,) * len(kv_heads)
    wide = fields.per_layer("feed_forward_length", len(kv_heads))
    is_mixed = fields.architecture in _PLAIN_LAYERS
    return tuple(not heads and not (is_mixed and size) for heads, size in zip(kv_heads, wide, strict=True))
