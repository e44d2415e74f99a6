"""Walks folders for GGUF files and groups the parts of split models. It opens none of them.

Links are followed, loops are not; hidden files and unfinished `.part` files are left out; a file that is reachable
twice is found once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.library.split import list_parts, split_name
from webui.types import ModelSource

_MAX_DEPTH = 12
_MAX_FILES = 20_000

_Signature = tuple[int, int]  # size and modification time (ns)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """`path` is the first part that exists; `signature` is (0, 0) for a part that does not."""

    path: Path
    source: ModelSource
    parts: tuple[Path, ...]
    signature: tuple[_Signature, ...]


@dataclass(frozen=True, slots=True)
class _FoundFile:
    path: Path
    source: ModelSource
    signature: _Signature


def find_models(models_dir: Path, extra_dirs: Sequence[Path], starter: Path | None) -> list[FoundModel]:
    """In the order of precedence: the models folder, further folders (or single files), the starter."""
    files = _Walk()
    files.add_folder(models_dir, "local")
    for extra in extra_dirs:
        if extra.is_file():
            for part in list_parts(extra):
                files.add_file(part, "folder")
        else:
            files.add_folder(extra, "folder")
    if starter is not None:
        files.add_file(starter, "starter")
    return _group(files.found)


class _Walk:
    """Remembers what it has seen by device and inode."""

    def __init__(self) -> None:
        self.found: list[_FoundFile] = []
        self._seen_files: set[tuple[int, int]] = set()
        self._seen_folders: set[tuple[int, int]] = set()

    def add_folder(self, folder: Path, source: ModelSource) -> None:
        self._add_folder(folder, source, os.path.realpath(folder), 0)

    def add_file(self, path: Path, source: ModelSource) -> None:
        try:
            str(path).encode()
            status = path.stat()
        except (OSError, UnicodeEncodeError):  # a broken link, or a name that is no text and could not be shown
            return
        key = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode) or key in self._seen_files or len(self.found) >= _MAX_FILES:
            return
        self._seen_files.add(key)
        self.found.append(_FoundFile(path, source, (status.st_size, status.st_mtime_ns)))

    def _add_folder(self, folder: Path, source: ModelSource, own_root: str, depth: int) -> None:
        try:
            status = folder.stat()
            key = (status.st_dev, status.st_ino)
            if key in self._seen_folders or depth > _MAX_DEPTH:
                return
            self._seen_folders.add(key)
            entries = sorted(_list_folder(folder), key=lambda entry: entry.name)
        except OSError:  # not there, or not ours to read: a folder from the settings may come and go
            return
        # What a link leads to outside the models folder is used in place and never deleted.
        if source == "local" and not Path(os.path.realpath(folder)).is_relative_to(own_root):
            source = "folder"
        for entry in entries:
            path = folder / entry.name
            if entry.name.lower().endswith(".gguf") and not _is_folder(entry):
                self.add_file(path, source)
            elif _is_folder(entry):
                self._add_folder(path, source, own_root, depth + 1)


def _list_folder(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _group(files: list[_FoundFile]) -> list[FoundModel]:
    """One model for each whole file and for each set of parts."""
    by_path = {file.path: file for file in files}
    models = []
    grouped: set[Path] = set()
    for file in files:
        if file.path in grouped:
            continue
        parts = tuple(list_parts(file.path)) if split_name(file.path.name) else (file.path,)
        grouped.update(parts)
        signature = tuple(by_path[part].signature if part in by_path else (0, 0) for part in parts)
        models.append(FoundModel(file.path, file.source, parts, signature))
    return models
