"""Models that we would take: a short list by the memory of a machine, in `presets.toml`. It asks nobody whether they
are still there; `core/hub` does."""

from __future__ import annotations

from typing import Literal

from webui.types import FileKind, Value

PresetState = Literal["unchecked", "available", "changed", "gone", "denied"]


class Preset(Value, frozen=True):
    """One entry. Sizes are approximate until the hub was asked."""

    id: str
    name: str
    repo: str
    variant: str
    size_bytes: int
    min_memory_gb: int  #: free RAM, or VRAM, that makes it pleasant: 4, 8, 16 or more
    kind: FileKind
    words: str  #: what it is good for, in one sentence
    license: str


class PresetStatus(Value, frozen=True):
    """A preset, and what the hub says of it now."""

    preset: Preset
    state: PresetState = "unchecked"
    size_bytes: int = 0  #: the hub's, once it was asked


def load_presets() -> tuple[Preset, ...]:
    """In the order of the file: from small to large."""
    raise NotImplementedError
