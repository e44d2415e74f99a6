"""Walks folders for GGUF files and groups the parts of split models. It opens none of them.

The stores of other programs are folders too, with rules of their own: Ollama's models have no names but in its
manifests, and what the Hugging Face cache shows must lie inside of it. Links are followed, loops are not; hidden files
and unfinished `.part` files are left out; a file that is reachable twice is found once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webui.library.ollama_store import list_ollama_models
from webui.library.split import list_parts, split_name
from webui.library.store_places import StoreFolder
from webui.types import ModelSource

_MAX_DEPTH = 12
_MAX_FILES = 20_000

_Signature = tuple[int, int]  # size and modification time (ns)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """`path` is the first part that exists; `signature` is (0, 0) for a part that does not. `name` is what the program
    that it belongs to calls it, where the file's name says nothing."""

    path: Path
    source: ModelSource
    parts: tuple[Path, ...]
    signature: tuple[_Signature, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class _FoundFile:
    path: Path
    source: ModelSource
    signature: _Signature
    name: str = ""


def find_models(
    models_dir: Path | None, extra_dirs: Sequence[Path], starter: Path | None, stores: Sequence[StoreFolder] = ()
) -> list[FoundModel]:
    """In the order of precedence: the models folder, further folders (or single files), the starter, other programs'
    stores."""
    files = _Walk()
    if models_dir is not None:
        files.add_folder(models_dir, "local")
    for extra in extra_dirs:
        if extra.is_file():
            for part in list_parts(extra):
                files.add_file(part, "folder")
        else:
            files.add_folder(extra, "folder")
    if starter is not None:
        files.add_file(starter, "starter")
    for store in stores:
        files.add_store(store)
    return _group(files.found)


def is_unchanged(model: FoundModel) -> bool:
    """Whether its files are as they were found."""
    for part, signature in zip(model.parts, model.signature, strict=True):
        try:
            found = part.stat()
        except OSError:
            if signature != (0, 0):
                return False
        else:
            if (found.st_size, found.st_mtime_ns) != signature:
                return False
    return True


class _Walk:
    """Remembers what it has seen by device and inode."""

    def __init__(self) -> None:
        self.found: list[_FoundFile] = []
        self._seen_files: set[tuple[int, int]] = set()
        self._seen_folders: set[tuple[int, int]] = set()

    def add_folder(self, folder: Path, source: ModelSource) -> None:
        self._add_folder(folder, source, os.path.realpath(folder), 0)

    def add_store(self, store: StoreFolder) -> None:
        if store.kind == "ollama":
            for blob, name in list_ollama_models(store.path):
                self.add_file(blob, store.kind, name)
        elif store.kind == "huggingface":
            self._add_cache(store.path)
        else:
            self.add_folder(store.path, store.kind)

    def add_file(self, path: Path, source: ModelSource, name: str = "") -> None:
        try:
            str(path).encode()
            status = path.stat()
        except (OSError, UnicodeEncodeError):  # a broken link, or a name that is no text and could not be shown
            return
        key = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode) or key in self._seen_files or len(self.found) >= _MAX_FILES:
            return
        self._seen_files.add(key)
        self.found.append(_FoundFile(path, source, (status.st_size, status.st_mtime_ns), name or _called(path, source)))

    def _add_cache(self, hub: Path) -> None:
        """The snapshots are links to blobs beside them, and a link that leads elsewhere is not the cache's."""
        before, root = len(self.found), os.path.realpath(hub)
        with suppress(OSError):
            for repository in sorted(hub.glob("models--*")):
                self.add_folder(repository / "snapshots", "huggingface")
        inside = [file for file in self.found[before:] if Path(os.path.realpath(file.path)).is_relative_to(root)]
        self.found[before:] = inside

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


def _called(path: Path, source: ModelSource) -> str:
    """Jan calls every file model.gguf, in a folder that has the model's name."""
    return path.parent.name if source == "jan" and path.name == "model.gguf" else ""


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
        models.append(FoundModel(file.path, file.source, parts, signature, file.name))
    return models
