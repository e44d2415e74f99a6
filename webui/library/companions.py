"""Finds the image or sound reader (mmproj) that lies beside a model's file.

llama.cpp's converters call it "mmproj-…" or "…-mmproj-…"; one file of that name can belong to any model of its folder,
so names are compared, and where the name says nothing, the widths. In Ollama's store the manifest names it. It loads
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from webui.errors import GlasshouseError
from webui.library.gguf_file import parse_gguf_file
from webui.library.model_names import display_name
from webui.library.ollama_store import find_projector_blob

_MARK = "mmproj"
_SAYS_NOTHING = {"", "model", "ggml model", "vision", "audio"}
_MAX_LOOKED_AT = 16
_WIDTH_KEYS = ("clip.vision.projection_dim", "clip.audio.projection_dim", "clip.projection_dim")


@dataclass(frozen=True, slots=True)
class Companion:
    path: Path
    sees: bool
    hears: bool


def find_mmproj(model: Path, embedding_length: int) -> Companion | None:
    """The one that belongs to `model`; the best known name first. An unreadable one is as good as none."""
    if (blob := find_projector_blob(model)) is not None:
        return _read(blob, None)
    try:
        files = sorted(each for each in model.parent.iterdir() if each.suffix.lower() == ".gguf")
    except OSError:
        return None
    candidates = [each for each in files if _MARK in each.name.lower() and each != model]
    own = _words(model)
    is_alone = {_words(each) for each in files if each not in candidates} == {own}
    named = [each for each in candidates if _rest(each) not in _SAYS_NOTHING and _is_same(_rest(each), own)]
    nameless = [each for each in candidates if _rest(each) in _SAYS_NOTHING]
    for path in named[:_MAX_LOOKED_AT]:
        if (found := _read(path, None)) is not None:
            return found
    for path in nameless[:_MAX_LOOKED_AT] if is_alone else ():
        if (found := _read(path, embedding_length)) is not None:
            return found
    return None


def _read(path: Path, width: int | None) -> Companion | None:
    try:
        metadata = parse_gguf_file(path).metadata
    except (GlasshouseError, OSError):
        return None
    if metadata.get("general.architecture") != "clip":
        return None
    widths = [value for key in _WIDTH_KEYS if isinstance(value := metadata.get(key), int) and value]
    if width is not None and widths and width not in widths:
        return None
    hears = bool(metadata.get("clip.has_audio_encoder"))
    sees = bool(metadata.get("clip.has_vision_encoder", not hears))
    return Companion(path, sees=sees, hears=hears)


def _words(path: Path) -> str:
    return display_name(path).casefold()


def _rest(path: Path) -> str:
    """What the name says beside "mmproj"."""
    return " ".join(_words(path).replace(_MARK, " ").split())


def _is_same(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
