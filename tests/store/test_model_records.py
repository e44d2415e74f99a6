"""What people keep about models: whole after a restart, and after somebody damaged a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from webui.store.database import Database
from webui.store.model_records import ModelRecordStore
from webui.store.model_values import AdapterSetting, ModelDefaults, ModelPreset, ModelRecord
from webui.types import SamplingParams

DEFAULTS = ModelDefaults(
    system_prompt="Be brief.",
    sampling=SamplingParams(temperature=0.2),
    adapters=(AdapterSetting(name="pirate", scale=0.5),),
    ctx=4096,
    gpu_layers=-1,
    kv_type="q8_0",
    flash_attention="on",
    chat_template="{{ messages }}",
    draft_model="tiny",
    keep_alive=-1,
)
RECORD = ModelRecord(
    model_id="Llama-3",
    file_name="Llama-3.gguf",
    size_bytes=123,
    title="My llama",
    tags=("work", "schnell ☃"),
    is_favourite=True,
    notes="Good at\nlists.",
    defaults=DEFAULTS,
    used_at=17.5,
    fingerprint="ab",
)


@pytest.fixture
def records(database: Database) -> ModelRecordStore:
    return ModelRecordStore(database)


async def test_everything_about_a_model_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    database = await Database.open(path)
    number = await ModelRecordStore(database).add(RECORD)
    await ModelRecordStore(database).save_preset(
        number, ModelPreset(name="Brief", model_id="Llama-3", defaults=DEFAULTS, created_at=1.0)
    )
    await database.close()
    database = await Database.open(path)
    try:
        assert await ModelRecordStore(database).all() == {number: RECORD}
        preset = ModelPreset(name="Brief", model_id="Llama-3", defaults=DEFAULTS, created_at=1.0)
        assert await ModelRecordStore(database).presets() == [(number, preset)]
    finally:
        await database.close()


async def test_a_preset_is_replaced_by_one_of_the_same_name_and_goes_with_its_model(records: ModelRecordStore) -> None:
    number = await records.add(RECORD)
    await records.save_preset(number, ModelPreset(name="Brief", model_id="", defaults=DEFAULTS, created_at=1.0))
    await records.save_preset(number, ModelPreset(name="BRIEF", model_id="", created_at=2.0))
    assert [(each.name, each.defaults) for _, each in await records.presets()] == [("BRIEF", ModelDefaults())]
    assert not await records.delete_preset("other")
    await records.delete(number)
    assert (await records.all(), await records.presets()) == ({}, [])


async def test_a_damaged_value_costs_only_itself(records: ModelRecordStore, database: Database) -> None:
    number = await records.add(RECORD)
    async with database.transaction() as connection:
        await connection.execute("""UPDATE model_records SET defaults = '{"ctx": "many"}', tags = '{'""")
    kept = (await records.all())[number]
    assert (kept.defaults, kept.tags) == (ModelDefaults(), ())
    assert (kept.title, kept.notes, kept.is_favourite) == ("My llama", "Good at\nlists.", True)


def test_a_preset_says_what_it_says_and_leaves_the_rest_to_its_model() -> None:
    preset = ModelDefaults(system_prompt="", ctx=512, draft_model="")
    assert preset.over(DEFAULTS) == ModelDefaults(
        system_prompt="",
        sampling=DEFAULTS.sampling,
        adapters=DEFAULTS.adapters,
        ctx=512,
        gpu_layers=-1,
        kv_type="q8_0",
        flash_attention="on",
        chat_template="{{ messages }}",
        draft_model="",
        keep_alive=-1,
    )
