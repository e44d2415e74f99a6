"""Makes the llama.cpp context that a chat model computes in: its options turned into llama.cpp's parameters.

It does not know files or logs; a context that llama.cpp refuses is None, and the caller finds the reason in the log.
"""

from __future__ import annotations

from contextlib import nullcontext

import llama_cpp
import msgspec

from webui.engine.context_size import cells_of_slot, max_outputs, total_cells
from webui.engine.lazy_memory import returning_untouched_pages
from webui.types import EngineOptions, FlashAttention, KvType

_KV_TYPES: dict[KvType, int] = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
_FLASH_ATTENTION: dict[FlashAttention, int] = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


def settle_options(options: EngineOptions) -> EngineOptions:
    """The options as they will really be: no GPU layers without a GPU, no more slots than llama.cpp has, and as many
    cells as the layout needs."""
    options = msgspec.structs.replace(
        options,
        gpu_layers=options.gpu_layers if llama_cpp.llama_supports_gpu_offload() else 0,
        num_slots=min(options.num_slots, llama_cpp.llama_max_parallel_sequences()),
    )
    return msgspec.structs.replace(
        options,
        kv_tokens=total_cells(options),
        batch_tokens=min(options.batch_tokens, cells_of_slot(options)),
    )


def create_context(model: llama_cpp.llama_model_p, options: EngineOptions) -> llama_cpp.llama_context_p | None:
    """The context for settled `options`; None when llama.cpp refuses, for want of memory above all."""
    is_main_memory = not llama_cpp.llama_supports_gpu_offload()  # a GPU's driver may hold on to pages
    with returning_untouched_pages() if is_main_memory else nullcontext():
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(model, _context_params(options))
    return context


def _context_params(options: EngineOptions) -> llama_cpp.llama_context_params:
    params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    params.n_ctx = options.kv_tokens
    params.n_batch = params.n_ubatch = options.batch_tokens
    params.n_seq_max = options.num_slots
    params.n_outputs_max = max_outputs(options.num_slots)  # rows of logits: not one for every token of a batch
    params.n_outputs_max_per_seq = params.n_outputs_max  # drafted tokens of one sequence have one each
    params.n_threads = params.n_threads_batch = options.threads
    params.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
    params.type_k = params.type_v = _KV_TYPES[options.kv_type]
    params.kv_unified = options.kv_layout == "shared"
    params.swa_full = False  # sliding-window layers keep their window only
    return params
