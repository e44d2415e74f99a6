"""Further folders with models: checked before they are remembered, kept while they are away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.fake_engine import FakeEngines
from webui.config import Settings
from webui.core.application import Application
from webui.core.model_folders import ModelFolders
from webui.errors import InvalidFolder


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", extra_models_dirs=[fixed])
    async with Application(settings, engine_factory=FakeEngines()) as opened:
        yield opened


@pytest.fixture
def folders(application: Application) -> ModelFolders:
    return ModelFolders(application.settings, application.preferences, application.set_extra_dirs)


async def test_a_folder_is_added_remembered_and_removed(
    application: Application, folders: ModelFolders, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    assert await folders.add(f'  "{shelf}/../shelf/" ') == shelf  # as people paste paths
    assert [(each.path, each.is_fixed) for each in await folders.list()] == [
        (str(tmp_path / "fixed"), True),
        (str(shelf), False),
    ]
    assert application.preferences.get().extra_dirs == (str(shelf),)

    shelf.rmdir()  # an unplugged disk
    assert [each.problem for each in await folders.list()] == [None, "there is no such folder."]
    await folders.remove(str(shelf))
    assert application.preferences.get().extra_dirs == ()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("nowhere", "there is no such folder"),
        ("file.gguf", "that is a file"),
        ("fixed", "it is in the list already"),
        ("models", "it is in the list already"),
    ],
)
async def test_a_folder_that_cannot_be_used_is_refused(
    folders: ModelFolders, tmp_path: Path, wrong: str, why: str
) -> None:
    (tmp_path / "file.gguf").touch()
    (tmp_path / "models").mkdir(exist_ok=True)
    with pytest.raises(InvalidFolder, match=why):
        await folders.add(str(tmp_path / wrong))


async def test_a_path_has_to_be_whole(folders: ModelFolders) -> None:
    with pytest.raises(InvalidFolder, match="write the whole path"):
        await folders.add("models/mine")
    with pytest.raises(InvalidFolder):
        await folders.add("/bad\0path")
