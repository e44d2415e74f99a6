"""Where other programs keep their models: Ollama, LM Studio, Jan, and the Hugging Face cache.

It knows the usual places of Linux, macOS and Windows and the variables that move them; it opens no model.
Sources: Ollama's docs/faq.md (OLLAMA_MODELS), LM Studio's lms (`~/.lmstudio-home-pointer`), Jan's docs (data folder),
huggingface_hub's constants.py (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from webui.types import StoreKind

OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")  #: what its installer on Linux makes
_MAX_POINTER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """One folder of one program; a program may have several."""

    kind: StoreKind
    path: Path


def find_store_folders(home: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[StoreFolder]:
    """Those that are there, each once. Blocks for a few looks at the disk."""
    try:
        home = home or Path.home()
    except RuntimeError:  # an account without a home
        return []
    candidates: list[tuple[StoreKind, Path]] = [
        *(("ollama", path) for path in _ollama(home, environment)),
        *(("lmstudio", path) for path in _lmstudio(home)),
        *(("jan", path) for path in _jan(home, environment)),
        *(("huggingface", path) for path in _huggingface(home, environment)),
    ]
    found: dict[str, StoreFolder] = {}
    for kind, path in candidates:
        try:
            if path.is_dir():
                found.setdefault(os.path.realpath(path), StoreFolder(kind, path))
        except (OSError, ValueError):  # not ours to look at, or a variable that holds no path
            continue
    return list(found.values())


def _ollama(home: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    if named := environment.get("OLLAMA_MODELS"):
        yield _expand(named, home)
    yield home / ".ollama" / "models"
    yield OLLAMA_SERVICE


def _lmstudio(home: Path) -> Iterator[Path]:
    pointer = home / ".lmstudio-home-pointer"
    try:
        text = pointer.read_bytes()[:_MAX_POINTER_BYTES].decode().strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if text and "\0" not in text:
        yield Path(text) / "models"
    yield home / ".lmstudio" / "models"
    yield home / ".cache" / "lm-studio" / "models"


def _jan(home: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    config = _expand(environment["XDG_CONFIG_HOME"], home) if environment.get("XDG_CONFIG_HOME") else home / ".config"
    places = [config / "Jan" / "data", home / "Library" / "Application Support" / "Jan" / "data", home / "jan"]
    if roaming := environment.get("APPDATA"):
        places.append(Path(roaming) / "Jan" / "data")
    for place in places:
        yield place / "llamacpp" / "models"
        yield place / "models"  # before version 0.6.6


def _huggingface(home: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            yield _expand(environment[name], home)
    if environment.get("HF_HOME"):
        yield _expand(environment["HF_HOME"], home) / "hub"
    cache = _expand(environment["XDG_CACHE_HOME"], home) if environment.get("XDG_CACHE_HOME") else home / ".cache"
    yield cache / "huggingface" / "hub"


def _expand(text: str, home: Path) -> Path:
    return home / text[2:] if text.startswith("~/") else Path(text)
