"""The file names of split models: `Name-00001-of-00003.gguf` and its siblings. Names only, no file is opened."""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
MAX_PARTS = 1000


def split_name(file_name: str) -> tuple[str, int, int] | None:
    """("Name", 1, 3) for the first of three parts; None for a file that is whole by itself."""
    match = _PART.fullmatch(file_name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (match["stem"], number, count) if 1 <= number <= count <= MAX_PARTS else None


def part_name(stem: str, number: int, count: int, suffix: str = ".gguf") -> str:
    """ "Name-00001-of-00003.gguf"."""
    return f"{stem}-{number:05}-of-{count:05}{suffix}"


def list_parts(path: Path) -> list[Path]:
    """The paths that the parts of this model have, in order; just `path` when it is not split."""
    split = split_name(path.name)
    if split is None:
        return [path]
    stem, own_number, count = split
    suffix = path.name[-len(".gguf") :]
    siblings = [path.with_name(part_name(stem, number, count, suffix)) for number in range(1, count + 1)]
    siblings[own_number - 1] = path
    return siblings
