"""The further folders with models that people add in the page: checked, remembered, and told to the catalog.

Folders from the settings come first and cannot be removed here. Nothing is ever written into any of these folders.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from webui.config import Settings
from webui.errors import GlasshouseError, InvalidFolder
from webui.library.catalog import Catalog
from webui.store.preferences import Preferences, PreferenceValues
from webui.types import ModelFolder


def all_folders(settings: Settings, preferences: PreferenceValues) -> list[Path]:
    """The folders beside the models folder in which models are found."""
    return [*settings.extra_models_dirs, *map(Path, preferences.extra_dirs)]


class ModelFolders:
    """Add and remove; a folder that is away for now (an unplugged disk) stays in the list with its problem."""

    def __init__(
        self, settings: Settings, preferences: Preferences, catalog: Catalog, *, on_change: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._preferences = preferences
        self._catalog = catalog
        self._on_change = on_change

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
        await self._store((*self._preferences.get().extra_dirs, str(path)))
        return path

    async def remove(self, path: str) -> None:
        await self._store(tuple(each for each in self._preferences.get().extra_dirs if each != path))

    def _check(self, text: str) -> Path:
        try:
            path = Path(text).expanduser()
            if not path.is_absolute():
                raise InvalidFolder(text, "write the whole path, such as /home/you/models.")
            path = Path(os.path.normpath(path))
            if problem := _find_problem(path):
                raise InvalidFolder(text, problem)
            known = {folder.resolve() for folder in all_folders(self._settings, self._preferences.get())}
            if path.resolve() in known | {self._settings.models_dir.resolve()}:
                raise InvalidFolder(text, "it is in the list already.")
        except GlasshouseError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidFolder(text, f"{error}.") from error
        return path

    async def _store(self, folders: tuple[str, ...]) -> None:
        await self._preferences.set(extra_dirs=folders)
        self._catalog.use_extra_dirs(all_folders(self._settings, self._preferences.get()))
        self._on_change()


def _find_problem(path: Path) -> str | None:
    try:
        if path.is_dir():
            return None if os.access(path, os.R_OK | os.X_OK) else "Glasshouse may not read it. Check its permissions."
        return "that is a file. Give the folder that it is in." if path.exists() else "there is no such folder."
    except OSError as error:
        return f"{error.strerror or error}."
