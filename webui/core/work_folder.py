"""Where a job's results grow: a hidden folder in the models folder that no list of models looks into.

What is whole moves out of it in one step that never overwrites. A folder whose server is gone (killed, power cut) is
removed by the next one: whoever works in a folder holds a lock on it, which the system drops with the process.
Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from webui.errors import FileExists, WriteFailed
from webui.library.durable import sync_folder
from webui.workbench.protocol import Written

_log = logging.getLogger(__name__)

_PREFIX = ".work-"


class WorkFolder:
    """The folder of one job. `folder_name` is set when the result is a folder of several files."""

    def __init__(self, models_dir: Path, job_id: str, *, folder_name: str | None = None) -> None:
        self._models_dir = models_dir
        self._folder_name = folder_name
        self._path = models_dir / f"{_PREFIX}{job_id}"
        self._lock: int | None = None

    @property
    def output_dir(self) -> Path:
        return self._path / self._folder_name if self._folder_name else self._path

    def create(self) -> None:
        """Raises WriteFailed."""
        try:
            self.output_dir.mkdir(parents=True)
            self._lock = _try_lock(self._path)
        except OSError as error:
            raise WriteFailed(self._path.name, error.strerror or str(error)) from error

    def publish(self, written: Written) -> Path:
        """Make the results model files; the path of the first. Raises FileExists or WriteFailed."""
        name = self._folder_name or written.file_names[0]
        target = self._models_dir / name
        try:
            if self._folder_name:
                self.output_dir.rename(target)  # refused when there is one with something in it
            else:
                _move(self.output_dir / name, target)
            sync_folder(self._models_dir)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise FileExists(name) from None
        except OSError as error:
            if self._folder_name and target.exists():
                raise FileExists(name) from None
            raise WriteFailed(name, error.strerror or str(error)) from error
        return target / written.file_names[0] if self._folder_name else target

    def remove(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_leftovers(models_dir: Path) -> None:
    """Remove the folders of servers that are gone."""
    for path in models_dir.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _try_lock(path)
            _log.info("Removing %s, which an earlier run left", path)
            shutil.rmtree(path, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """A descriptor that holds the folder until it is closed. Raises OSError while another process holds it.

    Windows has no such lock, and needs none: files that are open there cannot be removed.
    """
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415 - not on every system

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _move(source: Path, target: Path) -> None:
    """Rename without overwriting. A link fails where the name is taken; where links are not possible, look first."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError from None
        source.rename(target)
