"""What models and what was read for chats take on the disk, and what is left there. It asks the file system only."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from webui.core.planning import STATE_FOLDER
from webui.types import ModelFile, Value


class DiskUse(Value, frozen=True):
    """Bytes."""

    models_dir: str
    own_bytes: int  #: models in the models folder
    other_bytes: int  #: models in further folders, used where they lie
    state_bytes: int  #: what chats have read, kept so that they need not read it again
    free_bytes: int  #: on the disk of the models folder
    total_bytes: int


async def measure_disk(models: Sequence[ModelFile], models_dir: Path, data_dir: Path) -> DiskUse:
    return await asyncio.to_thread(_measure, models, models_dir, data_dir)


def _measure(models: Sequence[ModelFile], models_dir: Path, data_dir: Path) -> DiskUse:
    folder = next((each for each in (models_dir, *models_dir.parents) if each.exists()), Path.cwd())
    disk = shutil.disk_usage(folder)
    return DiskUse(
        models_dir=str(models_dir),
        own_bytes=sum(model.size_bytes for model in models if model.source == "local"),
        other_bytes=sum(model.size_bytes for model in models if model.source != "local"),
        state_bytes=sum(_size(path) for path in (data_dir / STATE_FOLDER).rglob("*")),
        free_bytes=disk.free,
        total_bytes=disk.total,
    )


def _size(path: Path) -> int:
    """0 for a folder, and for a file that has gone meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
