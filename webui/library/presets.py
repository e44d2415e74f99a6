"""Models that we would take: a short list by the memory of a machine, in `presets.toml`.

It asks nobody whether they are still there; `core/presets` does.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from webui.types import FileKind, Value

PresetState = Literal["unchecked", "available", "changed", "gone", "denied"]

PRESETS_FILE = Path(__file__).with_name("presets.toml")


class Preset(Value, frozen=True, forbid_unknown_fields=True):
    """One entry."""

    id: str
    name: str
    repo: str
    variant: str
    size_bytes: int  #: approximate until the hub was asked
    min_memory_gb: int  #: free RAM, or VRAM, with which it is pleasant
    kind: FileKind
    words: str  #: what it is good for, in one sentence
    license: str

    @property
    def reference(self) -> str:
        """What `parse_reference` takes."""
        return f"{self.repo}:{self.variant}"


class PresetStatus(Value, frozen=True):
    """A preset, and what the hub says of it: "changed" when its size is another one than we know, "gone" when it or
    this quantization is there no more, "denied" when only a token opens it."""

    preset: Preset
    state: PresetState = "unchecked"
    size_bytes: int = 0  #: the hub's once it was asked, the approximate one before


class _PresetFile(Value, frozen=True):
    preset: tuple[Preset, ...]


def load_presets(path: Path = PRESETS_FILE) -> tuple[Preset, ...]:
    """In the order of the file: from small to large."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _PresetFile).preset
