"""Tiny chat models with random weights, one for each kind of memory that llama.cpp has, written as real GGUFs.

    path = write_tiny_model(tmp_path, "gemma3")

What they say means nothing, but every logit depends on all the tokens before it that the kind of model can see, so a
wrong memory shows. The same kind and seed are the same bytes. A few hundred kilobytes each, loaded in milliseconds.

The same models in other sizes, to see what they take, are `write_model(path, kind, Size(width=2048, ...))`: numbers
from one random block, so that gigabytes are written as fast as the disk takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np

WIDTH, WIDE, HEADS, KV_HEADS, HEAD_WIDTH = 64, 96, 2, 1, 32
WINDOW = 32  #: of the models with a sliding window; llama.cpp keeps at least 256 cells for it
CONTEXT = 4096
KERNEL = 4  #: the longest of a convolution, which is full precision in every file
CONTROLS = ("<|im_start|>", "<|im_end|>")  #: behind the 256 bytes
NUM_TOKENS = 256 + len(CONTROLS)
PHI_WORDS = ("</s>", "<unk>", "<s>", "<|endoftext|>")  #: llama.cpp looks these up for Phi-3

ATTENTION = ("llama", "qwen2")  #: attention over everything
SLIDING = ("gemma3", "gpt-oss")  #: some layers see a window only
RECURRENT = ("mamba",)
HYBRID = ("lfm2", "falcon-h1", "qwen35")  #: attention and a recurrent state
KINDS = (*ATTENTION, *SLIDING, *RECURRENT, *HYBRID)
MORE_KINDS = ("phi3", "qwen3", "deepseek2", "mamba2")  #: whose memory is one of the kinds above; to count bytes with


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of a model; the defaults are the tiny one's."""

    width: int = WIDTH
    wide: int = WIDE
    heads: int = HEADS
    kv_heads: int = KV_HEADS
    head_width: int = HEAD_WIDTH
    window: int = WINDOW
    state: int = 16  #: of a recurrent head
    experts: int = 4
    num_tokens: int = NUM_TOKENS
    num_layers: int = 4  #: of "llama"
    groups: int = 1  #: how often the two or three layers of the other kinds come


@dataclass(slots=True)
class _Weights:
    """Draws tensors and hands them to the writer."""

    writer: gguf.GGUFWriter
    random: np.random.Generator
    size: Size
    block: np.ndarray | None = None  #: bytes that matrices are cut from, instead of being drawn
    type: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F16  #: of these matrices

    def matrix(self, name: str, *shape: int) -> None:
        """Rows first, as numpy counts; scaled so that a layer changes what comes in as much as it adds to it."""
        if self.block is not None and shape[-1] > KERNEL:
            self._cut(name, shape)
            return
        self._add(name, self.random.standard_normal(shape) * 1.5 / np.sqrt(shape[-1]))

    def vector(self, name: str, *shape: int, mean: float = 0.0) -> None:
        self._add(name, mean + 0.1 * self.random.standard_normal(shape))

    def norm(self, name: str, size: int | None = None, *, mean: float = 1.0) -> None:
        self.vector(f"{name}.weight", size or self.size.width, mean=mean)

    def feed_forward(self, block: str) -> None:
        width, wide = self.size.width, self.size.wide
        self.norm(f"{block}.ffn_norm")
        self.matrix(f"{block}.ffn_gate.weight", wide, width)
        self.matrix(f"{block}.ffn_up.weight", wide, width)
        self.matrix(f"{block}.ffn_down.weight", width, wide)

    def attention(
        self, block: str, *, head_width: int | None = None, has_biases: bool = False, is_gated: bool = False
    ) -> None:
        size = self.size
        head_width = head_width or size.head_width
        width = (2 if is_gated else 1) * head_width  # the gate comes with the queries
        kv_width = size.kv_heads * head_width
        for name, length in {"attn_q": size.heads * width, "attn_k": kv_width, "attn_v": kv_width}.items():
            self.matrix(f"{block}.{name}.weight", length, size.width)
            if has_biases:
                self.vector(f"{block}.{name}.bias", length)
        self.matrix(f"{block}.attn_output.weight", size.width, size.heads * head_width)

    def _cut(self, name: str, shape: tuple[int, ...]) -> None:
        block_length, block_bytes = gguf.GGML_QUANT_SIZES[self.type]
        is_whole = shape[-1] % block_length == 0
        kind = self.type if is_whole else gguf.GGMLQuantizationType.F16
        rows = shape[:-1]
        row_bytes = shape[-1] // block_length * block_bytes if is_whole else 2 * shape[-1]
        size = int(np.prod(rows)) * row_bytes
        assert self.block is not None
        assert size <= self.block.size
        self.writer.add_tensor(name, self.block[:size].reshape(*rows, row_bytes), raw_dtype=kind)

    def _add(self, name: str, values: np.ndarray) -> None:
        self.writer.add_tensor(name, values.astype(np.float32))


def write_tiny_model(
    folder: Path,
    kind: str,
    *,
    num_layers: int = 4,
    head_width: int = HEAD_WIDTH,
    seed: int = 1,
    gap_tokens: Sequence[int] = (),
) -> Path:
    """Write `folder/tiny-<kind>.gguf`. `num_layers` and `head_width` are heeded by "llama" only. `gap_tokens`: the ids
    of the tokens for filling in: prefix, suffix, middle, another file, repository; as many as there are."""
    path = folder / f"tiny-{kind}.gguf"
    size = Size(num_layers=num_layers, head_width=head_width if kind == "llama" else HEAD_WIDTH)
    if kind == "phi3":
        size = replace(size, num_tokens=NUM_TOKENS + len(PHI_WORDS))
    writer = gguf.GGUFWriter(path, kind)
    for name, token in zip(("pre", "suf", "mid", "sep", "rep"), gap_tokens, strict=False):
        writer.add_uint32(f"tokenizer.ggml.fim_{name}_token_id", token)
    _write(_Weights(writer, np.random.default_rng(seed), size), kind)
    return path


def write_model(path: Path, kind: str, size: Size, type_name: str = "F16") -> Path:
    """The same kind of model in another size, without care for what it would say."""
    random = np.random.default_rng(1)
    matrix_type = gguf.GGMLQuantizationType[type_name]
    largest = max(size.num_tokens, size.experts * size.wide, 6 * size.wide, 8 * size.width) * size.width
    block = np.resize(_random_block(matrix_type, random), 2 * largest)
    writer = gguf.GGUFWriter(path, kind)
    _write(_Weights(writer, random, size, block, matrix_type), kind)
    return path


def _random_block(kind: gguf.GGMLQuantizationType, random: np.random.Generator) -> np.ndarray:
    """Some megabytes of small numbers of this type: random bits behind scales (the halves in front) of a thousandth."""
    if kind == gguf.GGMLQuantizationType.F16:
        return (random.standard_normal(1 << 22) * 0.02).astype(np.float16).view(np.uint8)
    _, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    rows = random.integers(0, 256, (1 << 15, block_bytes), dtype=np.uint8)
    num_scales = 2 if kind in {gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q5_K} else 1
    scales = np.full((len(rows), num_scales), 0.001, dtype=np.float16).view(np.uint8)
    if kind == gguf.GGMLQuantizationType.Q6_K:  # its scale comes last
        rows[:, -2:] = scales
    else:
        rows[:, : 2 * num_scales] = scales
    return rows.reshape(-1)


def _write(weights: _Weights, kind: str) -> None:
    writer, size = weights.writer, weights.size
    _describe(weights)
    _add_vocabulary(writer, size.num_tokens)
    weights.matrix("token_embd.weight", size.num_tokens, size.width)
    weights.matrix("output.weight", size.num_tokens, size.width)
    weights.norm("token_embd_norm" if kind == "lfm2" else "output_norm")
    _WRITERS[kind](weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(weights: _Weights) -> None:
    writer = weights.writer
    writer.add_name(f"Tiny {writer.arch}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(weights.size.width)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if weights.block is None else gguf.LlamaFileType.MOSTLY_F16)


def _describe_attention(weights: _Weights, num_layers: int, *, kv_heads: int | list[int] | None = None) -> None:
    writer, size = weights.writer, weights.size
    writer.add_block_count(num_layers)
    writer.add_feed_forward_length(size.wide)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.kv_heads if kv_heads is None else kv_heads)
    writer.add_key_length(size.head_width)
    writer.add_value_length(size.head_width)


def _add_vocabulary(writer: gguf.GGUFWriter, num_tokens: int) -> None:
    """Every byte is a token, as GPT-2 spells it; words that nobody writes, and the two marks of ChatML."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    words = [*PHI_WORDS, *(f"word{number}" for number in range(num_tokens))][: num_tokens - NUM_TOKENS]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*spelled, *words, *CONTROLS])
    normal, control = [gguf.TokenType.NORMAL], [gguf.TokenType.CONTROL]
    writer.add_token_types(normal * (256 + len(words)) + control * len(CONTROLS))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(num_tokens - 1)
    writer.add_add_bos_token(False)


# --- attention over everything -------------------------------------------------------------------------------------


def _blocks(weights: _Weights, layers_of_group: int) -> list[str]:
    return [f"blk.{layer}" for layer in range(layers_of_group * weights.size.groups)]


def _write_llama(weights: _Weights) -> None:
    size = weights.size
    _describe_attention(weights, size.num_layers)
    weights.writer.add_rope_dimension_count(size.head_width)
    for layer in range(size.num_layers):
        block = f"blk.{layer}"
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.feed_forward(block)


def _write_qwen2(weights: _Weights) -> None:
    blocks = _blocks(weights, 2)
    _describe_attention(weights, len(blocks))
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.attention(block, has_biases=True)
        weights.feed_forward(block)


def _write_qwen2vl(weights: _Weights) -> None:
    _write_qwen2(weights)
    weights.writer.add_rope_dimension_sections([4, 6, 6, 0])


def _write_qwen3(weights: _Weights) -> None:
    blocks = _blocks(weights, 2)
    _describe_attention(weights, len(blocks))
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.norm(f"{block}.attn_q_norm", weights.size.head_width)
        weights.norm(f"{block}.attn_k_norm", weights.size.head_width)
        weights.feed_forward(block)


def _write_phi3(weights: _Weights) -> None:
    size, blocks = weights.size, _blocks(weights, 2)
    _describe_attention(weights, len(blocks))
    weights.writer.add_rope_dimension_count(size.head_width)
    weights.writer.add_rope_scaling_orig_ctx_len(CONTEXT)
    weights.writer.add_sliding_window(2047)  # as its files say; llama.cpp does without
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.matrix(f"{block}.attn_qkv.weight", (size.heads + 2 * size.kv_heads) * size.head_width, size.width)
        weights.matrix(f"{block}.attn_output.weight", size.width, size.heads * size.head_width)
        weights.norm(f"{block}.ffn_norm")
        weights.matrix(f"{block}.ffn_up.weight", 2 * size.wide, size.width)  # the gate comes with it
        weights.matrix(f"{block}.ffn_down.weight", size.width, size.wide)


def _write_deepseek2(weights: _Weights) -> None:
    """Latent attention: one compressed key for all heads, whose first part is the value too."""
    size, writer, blocks = weights.size, weights.writer, _blocks(weights, 2)
    rank, rope, plain = 2 * size.head_width, size.head_width // 2, size.head_width
    writer.add_block_count(len(blocks))
    writer.add_feed_forward_length(size.wide)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(1)
    writer.add_key_length(rank + rope)
    writer.add_value_length(rank)
    writer.add_key_length_mla(plain + rope)
    writer.add_value_length_mla(plain)
    writer.add_kv_lora_rank(rank)
    writer.add_q_lora_rank(rank)
    writer.add_rope_dimension_count(rope)
    writer.add_vocab_size(size.num_tokens)
    writer.add_leading_dense_block_count(len(blocks))
    writer.add_expert_count(size.experts)
    writer.add_expert_used_count(2)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(size.wide)
    writer.add_expert_weights_scale(1.0)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.matrix(f"{block}.attn_q_a.weight", rank, size.width)
        weights.norm(f"{block}.attn_q_a_norm", rank)
        weights.matrix(f"{block}.attn_q_b.weight", size.heads * (plain + rope), rank)
        weights.matrix(f"{block}.attn_kv_a_mqa.weight", rank + rope, size.width)
        weights.norm(f"{block}.attn_kv_a_norm", rank)
        weights.matrix(f"{block}.attn_k_b.weight", size.heads, rank, plain)
        weights.matrix(f"{block}.attn_v_b.weight", size.heads, plain, rank)
        weights.matrix(f"{block}.attn_output.weight", size.width, size.heads * plain)
        weights.feed_forward(block)


# --- sliding windows -----------------------------------------------------------------------------------------------


def _write_gemma3(weights: _Weights) -> None:
    size, blocks = weights.size, _blocks(weights, 3)
    _describe_attention(weights, len(blocks))
    weights.writer.add_sliding_window(size.window)
    weights.writer.add_sliding_window_pattern([True, True, False] * size.groups)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.norm(f"{block}.attn_q_norm", size.head_width)
        weights.norm(f"{block}.attn_k_norm", size.head_width)
        weights.norm(f"{block}.post_attention_norm")
        weights.feed_forward(block)
        weights.norm(f"{block}.post_ffw_norm")


def _write_gpt_oss(weights: _Weights) -> None:
    size, writer, blocks = weights.size, weights.writer, _blocks(weights, 2)
    num_experts = size.experts
    _describe_attention(weights, len(blocks))
    writer.add_sliding_window(size.window)
    writer.add_expert_count(num_experts)
    writer.add_expert_used_count(
        4
    )  # all of the tiny one: a near tie between two would make another answer of a last bit
    writer.add_expert_feed_forward_length(size.wide)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.attention(block, has_biases=True)
        weights.vector(f"{block}.attn_output.bias", size.width)
        weights.vector(f"{block}.attn_sinks.weight", size.heads)
        weights.norm(f"{block}.post_attention_norm")
        for name, shape in {
            "ffn_gate_inp": (num_experts, size.width),
            "ffn_gate_exps": (num_experts, size.wide, size.width),
            "ffn_up_exps": (num_experts, size.wide, size.width),
            "ffn_down_exps": (num_experts, size.width, size.wide),
        }.items():
            weights.matrix(f"{block}.{name}.weight", *shape)
            weights.vector(f"{block}.{name}.bias", *shape[:-1])


# --- recurrent and hybrid ------------------------------------------------------------------------------------------


def _write_mamba(weights: _Weights) -> None:
    width, writer, blocks = weights.size.width, weights.writer, _blocks(weights, 2)
    inner, state, rank, kernel = 2 * width, weights.size.state // 2, max(4, width // 16), 4
    writer.add_block_count(len(blocks))
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.matrix(f"{block}.ssm_in.weight", 2 * inner, width)
        weights.matrix(f"{block}.ssm_conv1d.weight", inner, kernel)
        weights.vector(f"{block}.ssm_conv1d.bias", inner)
        weights.matrix(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        weights.matrix(f"{block}.ssm_dt.weight", inner, rank)
        weights.vector(f"{block}.ssm_dt.bias", inner, mean=-3.0)  # small steps: a long memory
        weights.vector(f"{block}.ssm_a", inner, state, mean=-0.5)
        weights.vector(f"{block}.ssm_d", inner, mean=1.0)
        weights.matrix(f"{block}.ssm_out.weight", width, inner)


def _write_mamba2(weights: _Weights) -> None:
    width, writer, blocks = weights.size.width, weights.writer, _blocks(weights, 2)
    inner, state, heads, kernel = 2 * width, weights.size.state, 2 * weights.size.heads, 4
    mixed = inner + 2 * state
    writer.add_block_count(len(blocks))
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_group_count(1)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.matrix(f"{block}.ssm_in.weight", inner + mixed + heads, width)
        weights.vector(f"{block}.ssm_conv1d.weight", mixed, kernel)
        weights.vector(f"{block}.ssm_conv1d.bias", mixed)
        weights.vector(f"{block}.ssm_dt.bias", heads, mean=-3.0)
        weights.vector(f"{block}.ssm_a", heads, 1, mean=-0.5)
        weights.vector(f"{block}.ssm_d", heads, 1, mean=1.0)
        weights.vector(f"{block}.ssm_norm.weight", 1, inner, mean=1.0)
        weights.matrix(f"{block}.ssm_out.weight", width, inner)


def _write_lfm2(weights: _Weights) -> None:
    kernel, size, writer, blocks = 3, weights.size, weights.writer, _blocks(weights, 3)
    kv_heads = [0, size.kv_heads, 0] * size.groups  # the layers without heads are convolutions
    _describe_attention(weights, len(blocks), kv_heads=kv_heads)
    writer.add_shortconv_l_cache(kernel)
    writer.add_vocab_size(size.num_tokens)
    for block, heads in zip(blocks, kv_heads, strict=True):
        weights.norm(f"{block}.attn_norm")
        if heads:
            weights.attention(block)
            weights.norm(f"{block}.attn_q_norm", size.head_width, mean=4.0)  # few tokens get all the attention
            weights.norm(f"{block}.attn_k_norm", size.head_width)
        else:
            weights.matrix(f"{block}.shortconv.conv.weight", size.width, kernel)
            weights.matrix(f"{block}.shortconv.in_proj.weight", 3 * size.width, size.width)
            weights.matrix(f"{block}.shortconv.out_proj.weight", size.width, size.width)
        weights.feed_forward(block)


def _write_falcon_h1(weights: _Weights) -> None:
    size, writer, blocks = weights.size, weights.writer, _blocks(weights, 2)
    inner, state, heads, kernel = 2 * size.width, size.state, 2 * size.heads, 4
    mixed = inner + 2 * state
    _describe_attention(weights, len(blocks))
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_group_count(1)
    for block in blocks:
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.matrix(f"{block}.ssm_in.weight", inner + mixed + heads, size.width)
        weights.matrix(f"{block}.ssm_conv1d.weight", mixed, kernel)
        weights.vector(f"{block}.ssm_conv1d.bias", mixed)
        weights.vector(f"{block}.ssm_dt.bias", heads, mean=-3.0)
        weights.vector(f"{block}.ssm_a", heads, 1, mean=-0.5)
        weights.vector(f"{block}.ssm_d", heads, 1, mean=1.0)
        weights.matrix(f"{block}.ssm_out.weight", size.width, inner)
        weights.vector(f"{block}.ffn_norm", size.width, mean=1.0)  # this architecture's norm has no suffix
        for name, shape in {
            "ffn_gate": (size.wide, size.width),
            "ffn_up": (size.wide, size.width),
            "ffn_down": (size.width, size.wide),
        }.items():
            weights.matrix(f"{block}.{name}.weight", *shape)


def _write_qwen35(weights: _Weights) -> None:
    size, writer, blocks = weights.size, weights.writer, _blocks(weights, 3)
    state, key_heads, value_heads, kernel = size.state, size.heads, 2 * size.heads, 4
    mixed, inner = (2 * key_heads + value_heads) * state, value_heads * state
    _describe_attention(weights, len(blocks))
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_dimension_sections([6, 5, 5, 0])
    writer.add_full_attention_interval(3)  # the others are gated delta nets
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(value_heads)
    writer.add_ssm_group_count(key_heads)
    for layer, block in enumerate(blocks):
        weights.norm(f"{block}.attn_norm")
        weights.norm(f"{block}.post_attention_norm")
        if layer % 3 == 2:
            weights.attention(block, is_gated=True)
            weights.norm(f"{block}.attn_q_norm", size.head_width, mean=4.0)
            weights.norm(f"{block}.attn_k_norm", size.head_width)
        else:
            weights.matrix(f"{block}.attn_qkv.weight", mixed, size.width)
            weights.matrix(f"{block}.attn_gate.weight", inner, size.width)
            weights.matrix(f"{block}.ssm_conv1d.weight", mixed, kernel)
            weights.vector(f"{block}.ssm_dt.bias", value_heads, mean=-3.0)
            weights.vector(f"{block}.ssm_a", value_heads, mean=-0.5)
            weights.matrix(f"{block}.ssm_beta.weight", value_heads, size.width)
            weights.matrix(f"{block}.ssm_alpha.weight", value_heads, size.width)
            weights.norm(f"{block}.ssm_norm", state)
            weights.matrix(f"{block}.ssm_out.weight", size.width, inner)
        for name, shape in {
            "ffn_gate": (size.wide, size.width),
            "ffn_up": (size.wide, size.width),
            "ffn_down": (size.width, size.wide),
        }.items():
            weights.matrix(f"{block}.{name}.weight", *shape)


_WRITERS: dict[str, Callable[[_Weights], None]] = {
    "llama": _write_llama,
    "qwen2": _write_qwen2,
    "qwen2vl": _write_qwen2vl,
    "qwen3": _write_qwen3,
    "phi3": _write_phi3,
    "deepseek2": _write_deepseek2,
    "mamba2": _write_mamba2,
    "gemma3": _write_gemma3,
    "gpt-oss": _write_gpt_oss,
    "mamba": _write_mamba,
    "lfm2": _write_lfm2,
    "falcon-h1": _write_falcon_h1,
    "qwen35": _write_qwen35,
}
