"""Where a model file came from: a small JSON file beside it, `Name.gguf.origin.json`, that moves with the folder.

It is written before the model gets its name, so no fetched model is ever without one. It is not trusted: it only tells
what to ask the hub for.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from webui.types import Value

_ENDING = ".origin.json"
_MAX_BYTES = 1 << 16


class Origin(Value, frozen=True):
    """`repo` is empty for a file that came from an address of its own."""

    sha256: str
    size_bytes: int
    fetched_at: float  #: Unix seconds
    repo: str = ""
    path: str = ""  #: inside the repository
    revision: str = "main"  #: what was asked for
    commit: str = ""  #: what that was then
    label: str = ""  #: of the variant
    url: str = ""


def write_origin(model: Path, origin: Origin) -> None:
    """Raises OSError."""
    path = _path(model)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(origin), indent=2))
    fresh.replace(path)


def read_origin(model: Path) -> Origin | None:
    """None when there is none, or none that can be read."""
    path = _path(model)
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        return msgspec.json.decode(path.read_bytes(), type=Origin)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remove_origin(model: Path) -> None:
    """Goes with the model. Raises OSError."""
    _path(model).unlink(missing_ok=True)


def is_unchanged(model: Path, origin: Origin) -> bool:
    """Whether the file has still the size that was fetched."""
    try:
        return model.stat().st_size == origin.size_bytes
    except OSError:
        return False


def _path(model: Path) -> Path:
    return model.with_name(model.name + _ENDING)
