"""The further folders with models that people add in the page: checked before they are remembered.

Folders from the settings come first and cannot be removed here. Nothing is ever written into any of these folders.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from webui.config import Settings
from webui.errors import GlasshouseError, InvalidFolder
from webui.store.preferences import Preferences
from webui.types import ModelFolder


class ModelFolders:
    """Add and remove; a folder that is away for now (an unplugged disk) stays in the list with its problem.

    `use` remembers the folders and makes the catalog look into them (`Application.set_extra_dirs`).
    """

    def __init__(
        self, settings: Settings, preferences: Preferences, use: Callable[[Sequence[Path]], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._preferences = preferences
        self._use = use

    async def list(self) -> list[ModelFolder]:
        fixed = [str(path) for path in self._settings.extra_models_dirs]
        added = self._preferences.get().extra_dirs
        return [
            ModelFolder(path=path, is_fixed=path in fixed, problem=await asyncio.to_thread(_find_problem, Path(path)))
            for path in dict.fromkeys([*fixed, *added])
        ]

    async def add(self, text: str) -> Path:
        """Raises InvalidFolder with what is wrong with it."""
        path = await asyncio.to_thread(self._check, text.strip().strip("\"'"))
        await self._use([*map(Path, self._preferences.get().extra_dirs), path])
        return path

    async def remove(self, path: str) -> None:
        await self._use([Path(each) for each in self._preferences.get().extra_dirs if each != path])

    def _check(self, text: str) -> Path:
        try:
            path = Path(text).expanduser()
            if not path.is_absolute():
                raise InvalidFolder(text, "write the whole path, such as /home/you/models.")
            path = Path(os.path.normpath(path))
            if problem := _find_problem(path):
                raise InvalidFolder(text, problem)
            added = map(Path, self._preferences.get().extra_dirs)
            known = [self._settings.models_dir, *self._settings.extra_models_dirs, *added]
            if path.resolve() in {folder.resolve() for folder in known}:
                raise InvalidFolder(text, "it is in the list already.")
        except GlasshouseError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidFolder(text, f"{error}.") from error
        return path


def _find_problem(path: Path) -> str | None:
    try:
        if path.is_dir():
            return None if os.access(path, os.R_OK | os.X_OK) else "Glasshouse may not read it. Check its permissions."
        return "that is a file. Give the folder that it is in." if path.exists() else "there is no such folder."
    except OSError as error:
        return f"{error.strerror or error}."
