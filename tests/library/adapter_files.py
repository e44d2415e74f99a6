"""LoRA adapters for tests of what lies on disk; the engine's tests write their own, with sizes of a model."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np


def write_adapter_file(path: Path, *, architecture: str = "llama") -> Path:
    """What `convert_lora_to_gguf.py` writes: no layers, no vocabulary, a pair of tensors for each one it changes."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 64), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((64, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
