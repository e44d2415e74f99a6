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
_LARGEST_SIDE = 1024  # pixels; of projectors that take images of many sizes
_WIDTHS = 8  # of the patches' width, that exist side by side
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
    """The buffer that an image is computed in: some rows of a patch's width, and one of its feed-forward's, for each
    patch of the largest image."""
    patch = _count(metadata, "patch_size") or 14
    side = max(_count(metadata, "image_size"), _LARGEST_SIDE if _is_dynamic(metadata) else 0)
    num_patches = (side // patch) ** 2
    width, wide = _count(metadata, "embedding_length"), _count(metadata, "feed_forward_length")
    pixels = 3 * side**2
    return _FLOAT_BYTES * (num_patches * (_WIDTHS * width + 2 * wide) + 2 * pixels)


def _is_dynamic(metadata: Mapping[str, MetadataValue]) -> bool:
    return _kind(metadata) not in {"mlp", "mlp_norm", "ldp", "ldpv2", "gemma3", "idefics3", "internvl", "llama4"}


def _kind(metadata: Mapping[str, MetadataValue]) -> MetadataValue | None:
    return metadata.get("clip.vision.projector_type") or metadata.get("clip.projector_type")


def _count(metadata: Mapping[str, MetadataValue], name: str) -> int:
    value = metadata.get(f"clip.vision.{name}")
    return min(value, 1 << 20) if isinstance(value, int) and value > 0 else 0
