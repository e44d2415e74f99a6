"""Gives a model's file another name in its folder: all parts of a split model, and what was noted about its origin.

Nothing is ever overwritten, and a rename that fails in the middle is taken back. It does not know who uses the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from webui.errors import FileExists, RenameFailed
from webui.library.hub.origin import read_origin, remove_origin, write_origin
from webui.library.part_file import checked_file_name
from webui.library.split import list_parts, split_name


def rename_model(path: Path, file_name: str) -> Path:
    """The new path of `path`. Of a split model, `file_name` is the name that all parts share, without a number.

    Raises InvalidFileName, FileExists, or RenameFailed with the system's reason.
    """
    sources = [part for part in list_parts(path) if part.exists()]
    moves = [(source, source.with_name(_name_of_part(source, checked_file_name(file_name)))) for source in sources]
    for source, target in moves:
        if os.path.lexists(target) and not _is_same(source, target):
            raise FileExists(target.name)
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            _move(source, target)
            done.append((source, target))
    except OSError as error:
        for source, target in reversed(done):
            target.rename(source)
        raise RenameFailed(path.name, error.strerror or str(error)) from None
    return next((target for source, target in moves if source == path), path)


def _name_of_part(part: Path, file_name: str) -> str:
    """A split model keeps the numbers of its parts; they must not come twice."""
    split = split_name(part.name)
    stem = file_name[: -len(".gguf")]
    if (numbered := split_name(file_name)) is not None:
        stem = numbered[0]
    return f"{stem}-{split[1]:05}-of-{split[2]:05}.gguf" if split else file_name


def _move(source: Path, target: Path) -> None:
    origin = read_origin(source)
    if origin is not None:
        write_origin(target, origin)
    try:
        os.link(source, target)  # fails where the name is taken, which a rename does not
    except FileExistsError:
        if not _is_same(source, target):
            raise
        source.rename(target)  # only the case of its letters changes
    except OSError:  # a file system without hard links
        source.rename(target)
    else:
        source.unlink()
    if origin is not None:
        remove_origin(source)


def _is_same(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except OSError:
        return False
