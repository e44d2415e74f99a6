"""Models as Ollama names and describes them.

A name without a tag means the tag "latest", which says nothing here. Digests change whenever a file does; they are not
of its content, since reading gigabytes for a list would take minutes.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from webui.types import ModelFile

_LATEST = ":latest"


def plain_name(name: str) -> str:
    """What `ModelNames.find` takes."""
    name = name.strip()
    return name[: -len(_LATEST)] if name.lower().endswith(_LATEST) else name


def time_text(seconds: float | None = None) -> str:
    """A moment (Unix seconds; None: now) as RFC 3339 has it."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat().replace("+00:00", "Z")


def modified_at(model: ModelFile) -> str:
    try:
        return time_text(model.path.stat().st_mtime)
    except OSError:  # it was deleted just now
        return time_text(0)


def digest_of(name: str, model: ModelFile) -> str:
    return hashlib.sha256(f"{name}\0{model.path}\0{model.size_bytes}\0{modified_at(model)}".encode()).hexdigest()


def details_of(model: ModelFile, parent: str = "") -> dict[str, Any]:
    return {
        "parent_model": parent,
        "format": "gguf",
        "family": model.architecture,
        "families": [model.architecture] if model.architecture else [],
        "parameter_size": _parameter_size(model.num_parameters),
        "quantization_level": model.quantization,
    }


def _parameter_size(count: int) -> str:
    """ "134.52M", "8.0B"."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.2f}M" if count else ""
