"""What people keep about models stays with the file, wherever it goes; and which model a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.library.gguf_files import write_model
from webui.core.model_choice import ModelNames
from webui.core.model_records import ModelRecords
from webui.errors import InvalidDefault, UnknownModel, UnknownPreset
from webui.library.catalog import Catalog
from webui.library.loose_names import means
from webui.store.database import Database
from webui.store.model_records import ModelRecordStore
from webui.store.model_values import AdapterSetting, ModelDefaults, ModelPreset
from webui.types import ModelFile


class Shelf:
    """A models folder with what is kept about its files."""

    def __init__(self, folder: Path, database: Database) -> None:
        folder.mkdir()
        self.folder = folder
        self.catalog = Catalog(folder, (), include_starter=False)
        self.records = ModelRecords(ModelRecordStore(database))
        self.names = ModelNames(lambda: self.catalog, self.records)

    def put(self, name: str, *, vocab: int = 300) -> Path:
        return write_model(self.folder / name, vocab=vocab)

    async def only(self) -> ModelFile:
        (model,) = await self.names.list()
        return model


@pytest.fixture
async def shelf(tmp_path: Path, database: Database) -> Shelf:
    shelf = Shelf(tmp_path / "models", database)
    await shelf.records.load()
    return shelf


async def test_nothing_is_written_about_a_model_of_which_nothing_is_kept(shelf: Shelf, database: Database) -> None:
    shelf.put("Plain.gguf")
    model = await shelf.only()
    assert shelf.records.of(model).title is None
    assert await ModelRecordStore(database).all() == {}


async def test_a_file_that_was_renamed_by_hand_is_known_again(shelf: Shelf, database: Database) -> None:
    path = shelf.put("Before.gguf")
    await shelf.records.update(await shelf.only(), title="Mine", notes="keep")
    path.rename(path.with_name("After.gguf"))
    restarted = ModelRecords(ModelRecordStore(database))
    await restarted.load()
    shelf.names = ModelNames(lambda: shelf.catalog, restarted)
    model = await shelf.only()
    assert (model.id, model.name, restarted.of(model).notes) == ("After", "Mine", "keep")
    assert (await shelf.names.find("After")).model.name == "Mine"


async def test_a_newer_version_of_a_file_takes_over_and_a_stranger_does_not(shelf: Shelf) -> None:
    path = shelf.put("Model.gguf")
    await shelf.records.update(await shelf.only(), title="Mine")
    path.unlink()
    shelf.put("Other.gguf", vocab=301)
    assert (await shelf.only()).name == "Other"
    (shelf.folder / "Other.gguf").unlink()
    shelf.put("Model.gguf", vocab=302)
    assert (await shelf.only()).name == "Mine"


async def test_presets_go_where_their_model_goes(shelf: Shelf) -> None:
    path = shelf.put("Before.gguf")
    preset = ModelPreset(name=" Short ", model_id="", defaults=ModelDefaults(ctx=512))
    assert (await shelf.records.save_preset(preset, await shelf.only())).name == "Short"
    path.rename(path.with_name("After.gguf"))
    await shelf.only()
    choice = await shelf.names.find("SHORT")
    assert (choice.model.id, choice.defaults.ctx, choice.name) == ("After", 512, "Short")
    await shelf.records.delete_preset("short")
    with pytest.raises(UnknownModel):
        await shelf.names.find("Short")
    with pytest.raises(UnknownPreset):
        await shelf.records.delete_preset("Short")


async def test_a_name_is_a_file_before_a_preset_before_a_title_before_a_guess(shelf: Shelf) -> None:
    shelf.put("Llama-3.2-3B-Instruct-Q4_K_M.gguf")
    shelf.put("Phi-4.gguf", vocab=301)
    llama = (await shelf.names.find("Llama-3.2-3B-Instruct-Q4_K_M")).model
    phi = (await shelf.names.find("phi-4.gguf")).model
    assert (await shelf.names.find("llama3.2:3b")).model == llama
    await shelf.records.update(phi, title="llama3.2:3b")
    assert (await shelf.names.find("llama3.2:3b")).model.id == phi.id
    await shelf.records.save_preset(ModelPreset(name="llama3.2:3b", model_id=""), llama)
    assert (await shelf.names.find("llama3.2:3b")).model.id == llama.id


@pytest.mark.parametrize(
    ("asked", "known", "is_meant"),
    [
        ("llama3.2", "Llama-3.2-3B-Instruct-Q4_K_M", True),
        ("llama3", "Llama-3.2-3B-Instruct-Q4_K_M", False),
        ("smollm2:135m-instruct-q4_1", "SmolLM2-135M-Instruct.Q4_1", True),
        ("smollm2:135m-instruct-q8_0", "SmolLM2-135M-Instruct.Q4_1", False),
        ("smollm2:360m", "SmolLM2-135M-Instruct.Q4_1", False),
        ("qwen2.5-coder:7b", "Qwen2.5-Coder-7B-Instruct-Q4_K_M", True),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "Llama-3.2-3B-Instruct-Q4_K_M", True),
        ("library/gemma3:latest", "gemma-3-4b-it-Q4_0", True),
        ("gpt-9", "gpt-oss-20b-mxfp4", False),
        (":3b", "Llama-3.2-3B", False),
        ("a" * 10_000, "a", False),
    ],
)
def test_names_that_other_programs_give(asked: str, known: str, is_meant: bool) -> None:
    assert means(asked, known) is is_meant


@pytest.mark.parametrize(
    "defaults",
    [
        ModelDefaults(ctx=10),
        ModelDefaults(gpu_layers=-2),
        ModelDefaults(keep_alive=float("nan")),
        ModelDefaults(keep_alive=float("inf")),
        ModelDefaults(adapters=(AdapterSetting(name="a", scale=float("inf")),)),
        ModelDefaults(adapters=(AdapterSetting(name="a"),) * 5),
        ModelDefaults(system_prompt="x" * 200_001),
    ],
)
async def test_defaults_that_cannot_act_are_refused(shelf: Shelf, defaults: ModelDefaults) -> None:
    shelf.put("Model.gguf")
    with pytest.raises(InvalidDefault):
        await shelf.records.update(await shelf.only(), defaults=defaults)
    assert shelf.records.of(await shelf.only()).defaults == ModelDefaults()


async def test_half_a_character_is_stored_as_what_it_is(shelf: Shelf, database: Database) -> None:
    shelf.put("Model.gguf")
    model = await shelf.only()
    await shelf.records.update(
        model, notes="\ud800!", title="a\ud800b", defaults=ModelDefaults(system_prompt="\udfff?")
    )
    (kept,) = (await ModelRecordStore(database).all()).values()
    assert (kept.notes, kept.title, kept.defaults.system_prompt) == ("?!", "a b", "??")
