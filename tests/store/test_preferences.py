"""Preferences outlive a restart, and nothing that is stored can keep Glasshouse from starting."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from webui.store.database import Database
from webui.store.preferences import Preferences, PreferenceValues
from webui.types import SamplingParams


async def test_choices_outlive_a_restart(database: Database) -> None:
    preferences = Preferences(database)
    assert await preferences.load() == PreferenceValues()
    sampling = SamplingParams(temperature=0.2, stop=("END",))
    await preferences.set(model_id="SmolLM2", sampling=sampling, ctx=4096, extra_dirs=("/models",))
    await preferences.set(ctx=None, system_prompt="Be brief.")

    after_restart = Preferences(database)
    expected = PreferenceValues(
        model_id="SmolLM2", sampling=sampling, ctx=None, extra_dirs=("/models",), system_prompt="Be brief."
    )
    assert preferences.get() == expected
    assert await after_restart.load() == expected


@pytest.mark.parametrize(
    ("key", "value"), [("ctx", "many"), ("ctx", '"many"'), ("sampling", '{"temperature": "hot"}'), ("model_id", "{")]
)
async def test_a_damaged_value_falls_back_to_its_default_and_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture, key: str, value: str
) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO preferences VALUES (?, ?)", (key, value))
        await connection.execute("INSERT INTO preferences VALUES ('system_prompt', '\"Kept.\"')")
        await connection.execute("INSERT INTO preferences VALUES ('of_a_newer_version', '1')")
    with caplog.at_level(logging.WARNING):
        values = await Preferences(database).load()
    assert values == PreferenceValues(system_prompt="Kept.")
    assert key in caplog.text


@pytest.mark.parametrize("change", [{"ctx": "many"}, {"sampling": 3}, {"colour": "blue"}])
async def test_what_is_no_preference_is_not_stored(database: Database, change: dict[str, Any]) -> None:
    preferences = Preferences(database)
    with pytest.raises(TypeError):
        await preferences.set(**change)
    assert await preferences.load() == PreferenceValues()
