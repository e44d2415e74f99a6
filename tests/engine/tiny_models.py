"""Tiny chat models with random weights, one for each kind of memory that llama.cpp has, written as real GGUFs.

    path = write_tiny_model(tmp_path, "gemma3")

What they say means nothing, but every logit depends on all the tokens before it that the kind of model can see, so a
wrong memory shows. The same kind and seed are the same bytes. A few hundred kilobytes each, loaded in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH, WIDE, HEADS, KV_HEADS, HEAD_WIDTH = 64, 96, 2, 1, 32
WINDOW = 32  #: of the models with a sliding window; llama.cpp keeps at least 256 cells for it
CONTEXT = 4096
CONTROLS = ("<|im_start|>", "<|im_end|>")  #: behind the 256 bytes
NUM_TOKENS = 256 + len(CONTROLS)

ATTENTION = ("llama", "qwen2")  #: attention over everything
SLIDING = ("gemma3", "gpt-oss")  #: some layers see a window only
RECURRENT = ("mamba",)
HYBRID = ("lfm2", "falcon-h1", "qwen35")  #: attention and a recurrent state
KINDS = (*ATTENTION, *SLIDING, *RECURRENT, *HYBRID)


@dataclass(slots=True)
class _Weights:
    """Draws tensors and hands them to the writer."""

    writer: gguf.GGUFWriter
    random: np.random.Generator

    def matrix(self, name: str, *shape: int) -> None:
        """Rows first, as numpy counts; scaled so that a layer changes what comes in as much as it adds to it."""
        self._add(name, self.random.standard_normal(shape) * 1.5 / np.sqrt(shape[-1]))

    def vector(self, name: str, *shape: int, mean: float = 0.0) -> None:
        self._add(name, mean + 0.1 * self.random.standard_normal(shape))

    def norm(self, name: str, size: int = WIDTH, *, mean: float = 1.0) -> None:
        self.vector(f"{name}.weight", size, mean=mean)

    def feed_forward(self, block: str) -> None:
        self.norm(f"{block}.ffn_norm")
        self.matrix(f"{block}.ffn_gate.weight", WIDE, WIDTH)
        self.matrix(f"{block}.ffn_up.weight", WIDE, WIDTH)
        self.matrix(f"{block}.ffn_down.weight", WIDTH, WIDE)

    def attention(
        self, block: str, *, head_width: int = HEAD_WIDTH, has_biases: bool = False, is_gated: bool = False
    ) -> None:
        width = (2 if is_gated else 1) * head_width  # the gate comes with the queries
        sizes = {"attn_q": HEADS * width, "attn_k": KV_HEADS * head_width, "attn_v": KV_HEADS * head_width}
        for name, size in sizes.items():
            self.matrix(f"{block}.{name}.weight", size, WIDTH)
            if has_biases:
                self.vector(f"{block}.{name}.bias", size)
        self.matrix(f"{block}.attn_output.weight", WIDTH, HEADS * head_width)

    def _add(self, name: str, values: np.ndarray) -> None:
        self.writer.add_tensor(name, values.astype(np.float32))


def write_tiny_model(
    folder: Path, kind: str, *, num_layers: int = 4, head_width: int = HEAD_WIDTH, seed: int = 1
) -> Path:
    """Write `folder/tiny-<kind>.gguf`. `num_layers` and `head_width` are heeded by "llama" only."""
    path = folder / f"tiny-{kind}.gguf"
    writer = gguf.GGUFWriter(path, kind)
    weights = _Weights(writer, np.random.default_rng(seed))
    _describe(writer)
    _add_vocabulary(writer)
    weights.matrix("token_embd.weight", NUM_TOKENS, WIDTH)
    weights.matrix("output.weight", NUM_TOKENS, WIDTH)
    weights.norm("token_embd_norm" if kind == "lfm2" else "output_norm")
    if kind == "llama":
        _write_llama(weights, num_layers, head_width)
    else:
        _WRITERS[kind](weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name(f"Tiny {writer.arch}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _describe_attention(
    writer: gguf.GGUFWriter, num_layers: int, *, head_width: int = HEAD_WIDTH, kv_heads: int | list[int] = KV_HEADS
) -> None:
    writer.add_block_count(num_layers)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Every byte is a token, as GPT-2 spells it; and the two marks of ChatML."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*spelled, *CONTROLS])
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(CONTROLS))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(NUM_TOKENS - 1)
    writer.add_add_bos_token(False)


# --- attention over everything -------------------------------------------------------------------------------------


def _write_llama(weights: _Weights, num_layers: int, head_width: int) -> None:
    _describe_attention(weights.writer, num_layers, head_width=head_width)
    weights.writer.add_rope_dimension_count(head_width)
    for layer in range(num_layers):
        block = f"blk.{layer}"
        weights.norm(f"{block}.attn_norm")
        weights.attention(block, head_width=head_width)
        weights.feed_forward(block)


def _write_qwen2(weights: _Weights) -> None:
    _describe_attention(weights.writer, 2)
    for block in ("blk.0", "blk.1"):
        weights.norm(f"{block}.attn_norm")
        weights.attention(block, has_biases=True)
        weights.feed_forward(block)


# --- sliding windows -----------------------------------------------------------------------------------------------


def _write_gemma3(weights: _Weights) -> None:
    _describe_attention(weights.writer, 3)
    weights.writer.add_sliding_window(WINDOW)
    weights.writer.add_sliding_window_pattern([True, True, False])
    for block in ("blk.0", "blk.1", "blk.2"):
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.norm(f"{block}.attn_q_norm", HEAD_WIDTH)
        weights.norm(f"{block}.attn_k_norm", HEAD_WIDTH)
        weights.norm(f"{block}.post_attention_norm")
        weights.feed_forward(block)
        weights.norm(f"{block}.post_ffw_norm")


def _write_gpt_oss(weights: _Weights) -> None:
    num_experts, writer = 4, weights.writer
    _describe_attention(writer, 2)
    writer.add_sliding_window(WINDOW)
    writer.add_expert_count(num_experts)
    writer.add_expert_used_count(num_experts)  # all: a near tie between two would make another answer of a last bit
    writer.add_expert_feed_forward_length(WIDE)
    for block in ("blk.0", "blk.1"):
        weights.norm(f"{block}.attn_norm")
        weights.attention(block, has_biases=True)
        weights.vector(f"{block}.attn_output.bias", WIDTH)
        weights.vector(f"{block}.attn_sinks.weight", HEADS)
        weights.norm(f"{block}.post_attention_norm")
        for name, shape in {
            "ffn_gate_inp": (num_experts, WIDTH),
            "ffn_gate_exps": (num_experts, WIDE, WIDTH),
            "ffn_up_exps": (num_experts, WIDE, WIDTH),
            "ffn_down_exps": (num_experts, WIDTH, WIDE),
        }.items():
            weights.matrix(f"{block}.{name}.weight", *shape)
            weights.vector(f"{block}.{name}.bias", *shape[:-1])


# --- recurrent and hybrid ------------------------------------------------------------------------------------------


def _write_mamba(weights: _Weights) -> None:
    inner, state, rank, kernel, writer = 2 * WIDTH, 8, 4, 4, weights.writer
    writer.add_block_count(2)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    for block in ("blk.0", "blk.1"):
        weights.norm(f"{block}.attn_norm")
        weights.matrix(f"{block}.ssm_in.weight", 2 * inner, WIDTH)
        weights.matrix(f"{block}.ssm_conv1d.weight", inner, kernel)
        weights.vector(f"{block}.ssm_conv1d.bias", inner)
        weights.matrix(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        weights.matrix(f"{block}.ssm_dt.weight", inner, rank)
        weights.vector(f"{block}.ssm_dt.bias", inner, mean=-3.0)  # small steps: a long memory
        weights.vector(f"{block}.ssm_a", inner, state, mean=-0.5)
        weights.vector(f"{block}.ssm_d", inner, mean=1.0)
        weights.matrix(f"{block}.ssm_out.weight", WIDTH, inner)


def _write_lfm2(weights: _Weights) -> None:
    kernel, writer = 3, weights.writer
    _describe_attention(writer, 3, kv_heads=[0, KV_HEADS, 0])  # the layers without heads are convolutions
    writer.add_shortconv_l_cache(kernel)
    writer.add_vocab_size(NUM_TOKENS)
    for layer in range(3):
        block = f"blk.{layer}"
        weights.norm(f"{block}.attn_norm")
        if layer == 1:
            weights.attention(block)
            weights.norm(f"{block}.attn_q_norm", HEAD_WIDTH, mean=4.0)  # few tokens get all the attention
            weights.norm(f"{block}.attn_k_norm", HEAD_WIDTH)
        else:
            weights.matrix(f"{block}.shortconv.conv.weight", WIDTH, kernel)
            weights.matrix(f"{block}.shortconv.in_proj.weight", 3 * WIDTH, WIDTH)
            weights.matrix(f"{block}.shortconv.out_proj.weight", WIDTH, WIDTH)
        weights.feed_forward(block)


def _write_falcon_h1(weights: _Weights) -> None:
    inner, state, heads, kernel, writer = 2 * WIDTH, 16, 4, 4, weights.writer
    mixed = inner + 2 * state
    _describe_attention(writer, 2)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_group_count(1)
    for block in ("blk.0", "blk.1"):
        weights.norm(f"{block}.attn_norm")
        weights.attention(block)
        weights.matrix(f"{block}.ssm_in.weight", inner + mixed + heads, WIDTH)
        weights.matrix(f"{block}.ssm_conv1d.weight", mixed, kernel)
        weights.vector(f"{block}.ssm_conv1d.bias", mixed)
        weights.vector(f"{block}.ssm_dt.bias", heads, mean=-3.0)
        weights.vector(f"{block}.ssm_a", heads, 1, mean=-0.5)
        weights.vector(f"{block}.ssm_d", heads, 1, mean=1.0)
        weights.matrix(f"{block}.ssm_out.weight", WIDTH, inner)
        weights.vector(f"{block}.ffn_norm", WIDTH, mean=1.0)  # this architecture's norm has no suffix
        for name, shape in {"ffn_gate": (WIDE, WIDTH), "ffn_up": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE)}.items():
            weights.matrix(f"{block}.{name}.weight", *shape)


def _write_qwen35(weights: _Weights) -> None:
    state, key_heads, value_heads, kernel, writer = 16, 2, 4, 4, weights.writer
    mixed, inner = (2 * key_heads + value_heads) * state, value_heads * state
    _describe_attention(writer, 3)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_dimension_sections([6, 5, 5, 0])
    writer.add_full_attention_interval(3)  # the others are gated delta nets
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(value_heads)
    writer.add_ssm_group_count(key_heads)
    for layer in range(3):
        block = f"blk.{layer}"
        weights.norm(f"{block}.attn_norm")
        weights.norm(f"{block}.post_attention_norm")
        if layer == 2:
            weights.attention(block, is_gated=True)
            weights.norm(f"{block}.attn_q_norm", HEAD_WIDTH, mean=4.0)
            weights.norm(f"{block}.attn_k_norm", HEAD_WIDTH)
        else:
            weights.matrix(f"{block}.attn_qkv.weight", mixed, WIDTH)
            weights.matrix(f"{block}.attn_gate.weight", inner, WIDTH)
            weights.matrix(f"{block}.ssm_conv1d.weight", mixed, kernel)
            weights.vector(f"{block}.ssm_dt.bias", value_heads, mean=-3.0)
            weights.vector(f"{block}.ssm_a", value_heads, mean=-0.5)
            weights.matrix(f"{block}.ssm_beta.weight", value_heads, WIDTH)
            weights.matrix(f"{block}.ssm_alpha.weight", value_heads, WIDTH)
            weights.norm(f"{block}.ssm_norm", state)
            weights.matrix(f"{block}.ssm_out.weight", WIDTH, inner)
        for name, shape in {"ffn_gate": (WIDE, WIDTH), "ffn_up": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE)}.items():
            weights.matrix(f"{block}.{name}.weight", *shape)


_WRITERS: dict[str, Callable[[_Weights], None]] = {
    "qwen2": _write_qwen2,
    "gemma3": _write_gemma3,
    "gpt-oss": _write_gpt_oss,
    "mamba": _write_mamba,
    "lfm2": _write_lfm2,
    "falcon-h1": _write_falcon_h1,
    "qwen35": _write_qwen35,
}
