"""Tiny projectors with random weights, written as real mmproj files: what the tiny models see through.

    path = write_tiny_projector(tmp_path, "mlp")

What a model makes of an image means nothing, but every row depends on all of the image's pixels.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.engine.tiny_models import WIDTH

IMAGE, PATCH, MERGE = 64, 8, 2  #: pixels of a side; of a patch's side; patches of a side that become one row ("gemma3")
NUM_PATCHES = (IMAGE // PATCH) ** 2
NUM_ROWS = {"mlp": NUM_PATCHES, "gemma3": NUM_PATCHES // MERGE**2, "qwen2vl_merger": 20}  #: of one image, at least
_WIDE, _HEADS, _LAYERS = 96, 2, 2
_EMBEDDING = 32  #: numbers of a patch


def write_tiny_projector(folder: Path, kind: str, *, width: int = WIDTH, seed: int = 2) -> Path:
    """Write `folder/mmproj-tiny-<kind>.gguf`. "mlp" (LLaVA) is computed like text, "gemma3" in both directions, and the
    rows of "qwen2vl_merger" stand in two dimensions; their number depends on the image's size. "idefics3" marks images
    with tokens that the tiny models do not have."""
    path = folder / f"mmproj-tiny-{kind}.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int, mean: float = 0.0) -> None:
        scale = 0.1 if len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[1:]))
        writer.add_tensor(name, (mean + scale * random.standard_normal(shape)).astype(np.float32))

    _describe(writer, kind, width)
    add("v.patch_embd.weight", _EMBEDDING, 3, PATCH, PATCH)
    if kind == "qwen2vl_merger":
        add("v.patch_embd.weight.1", _EMBEDDING, 3, PATCH, PATCH)
    else:
        add("v.patch_embd.bias", _EMBEDDING)
        add("v.position_embd.weight", NUM_PATCHES, _EMBEDDING)
    for layer in range(_LAYERS):
        block = f"v.blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add(f"{block}.{name}.weight", _EMBEDDING, _EMBEDDING)
            add(f"{block}.{name}.bias", _EMBEDDING)
        for name in ("ln1", "ln2"):
            add(f"{block}.{name}.weight", _EMBEDDING, mean=1.0)
            add(f"{block}.{name}.bias", _EMBEDDING)
        add(f"{block}.ffn_up.weight", _WIDE, _EMBEDDING)
        add(f"{block}.ffn_up.bias", _WIDE)
        add(f"{block}.ffn_down.weight", _EMBEDDING, _WIDE)
        add(f"{block}.ffn_down.bias", _EMBEDDING)
    if kind == "gemma3":
        add("v.post_ln.weight", _EMBEDDING, mean=1.0)
        add("v.post_ln.bias", _EMBEDDING)
        add("mm.soft_emb_norm.weight", _EMBEDDING, mean=1.0)
        add("mm.input_projection.weight", _EMBEDDING, width)
    elif kind == "idefics3":
        add("mm.model.fc.weight", width, _EMBEDDING * MERGE**2)
    elif kind == "qwen2vl_merger":
        add("v.post_ln.weight", _EMBEDDING, mean=1.0)
        add("v.post_ln.bias", _EMBEDDING)
        add("mm.0.weight", 4 * _EMBEDDING, 4 * _EMBEDDING)
        add("mm.0.bias", 4 * _EMBEDDING)
        add("mm.2.weight", width, 4 * _EMBEDDING)
        add("mm.2.bias", width)
    else:
        add("mm.0.weight", width, _EMBEDDING)
        add("mm.0.bias", width)
        add("mm.2.weight", width, width)
        add("mm.2.bias", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, kind: str, width: int) -> None:
    writer.add_name(f"Tiny {kind} projector")
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    for name, value in {
        "embedding_length": _EMBEDDING,
        "feed_forward_length": _WIDE,
        "block_count": _LAYERS,
        "attention.head_count": _HEADS,
        "projection_dim": width,
        "image_size": IMAGE,
        "patch_size": PATCH,
        "projector.scale_factor": MERGE,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
