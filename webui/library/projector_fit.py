"""What a model's projector (the mmproj file that it sees through) takes of memory, from its header.

The terms were checked against the buffers that llama.cpp's mtmd logs. It loads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from webui.errors import GlasshouseError
from webui.library.companions import find_mmproj
from webui.library.gguf import GgufHeader
from webui.library.gguf_file import parse_gguf_file
from webui.library.gguf_metadata import MetadataValue

_KEPT_BYTES = 96 << 20  # rows of images, and images themselves, that the engine keeps
_FLOAT_BYTES = 4
_DYNAMIC_SIDE = 1024  # pixels; of projectors that take images of many sizes
_QWEN_SIDE = 128  # patches; as far as llama.cpp lets an image of Qwen-VL grow
_BOUND = {"hunyuanvl", "deepseek4v"}  # their rows depend on what stands before an image, which the engine cannot have


@dataclass(frozen=True, slots=True)
class Projector:
    path: Path
    num_bytes: int  #: its weights, what it computes in, and what it has made


def find_projector(model: Path, header: GgufHeader) -> Projector | None:
    """The one beside a model's file, if it has one that sees."""
    companion = find_mmproj(model, header.embedding_length)
    if companion is None or not companion.sees:
        return None
    try:
        metadata, size = parse_gguf_file(companion.path).metadata, companion.path.stat().st_size
    except (GlasshouseError, OSError):
        return None
    if _kind(metadata) in _BOUND:
        return None
    return Projector(companion.path, size + compute_bytes(metadata) + _KEPT_BYTES)


def compute_bytes(metadata: Mapping[str, MetadataValue]) -> int:
    """The buffer that the largest image is computed in: its pixels, and for each of its patches three rows of the
    encoder's width and up to one and a half of its feed-forward's (measured: CLIP-L 100 %, SigLIP 74 to 82 %, Qwen2-VL
    76 % of it)."""
    patch = _count(metadata, "patch_size") or 14
    side = max(_count(metadata, "image_size"), _dynamic_side(_kind(metadata), patch))
    width, wide = _count(metadata, "embedding_length"), _count(metadata, "feed_forward_length")
    return _FLOAT_BYTES * ((side // patch) ** 2 * (3 * width + wide * 3 // 2) + 3 * side**2)


def _dynamic_side(kind: str, patch: int) -> int:
    """Pixels; 0 where all images are made as large as the file says."""
    if kind in {"mlp", "mlp_norm", "ldp", "ldpv2", "gemma3", "idefics3", "internvl", "llama4"}:
        return 0
    return _QWEN_SIDE * patch if kind.startswith("qwen") else _DYNAMIC_SIDE


def _kind(metadata: Mapping[str, MetadataValue]) -> str:
    return str(metadata.get("clip.vision.projector_type") or metadata.get("clip.projector_type") or "")


def _count(metadata: Mapping[str, MetadataValue], name: str) -> int:
    value = metadata.get(f"clip.vision.{name}")
    return min(value, 1 << 20) if isinstance(value, int) and value > 0 else 0
