"""The doctor over real engine processes: the starter model is sound, damaged copies of it are caught."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.core.doctor.fake_doctor import FakeHouse
from webui.config import Settings
from webui.core.doctor.doctor import Doctor
from webui.core.doctor.limits import DoctorLimits
from webui.core.engine_client import LOW_PRIORITY_COMMAND, EngineClient
from webui.core.planning import create_planner
from webui.library.catalog import Catalog, find_starter
from webui.store.database import Database
from webui.store.doctor_reports import DoctorReports
from webui.types import DoctorDone, DoctorReport

BRIEF = DoctorLimits(
    seconds=5, prompt_tokens=48, written_tokens=12, repetitions=1, answer_tokens=20, trial_rounds=3, has_trials=True
)
Damage = Callable[[np.ndarray], None]  #: of a tensor's bytes


def no_number(weights: np.ndarray) -> None:
    """The scale of one block: a single bad bit pattern in 98 MB."""
    weights[:2] = np.frombuffer(np.float16("nan").tobytes(), np.uint8)


def nothing(weights: np.ndarray) -> None:
    weights[:] = 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", _env_file=None)  # type: ignore[call-arg]


async def examine(settings: Settings, database: Database, name: str) -> DoctorReport:
    doctor = Doctor(
        Catalog(settings.models_dir, ()).find,
        DoctorReports(database),
        FakeHouse(),
        create_planner(settings),
        create_engine=lambda: EngineClient(command=LOW_PRIORITY_COMMAND),
        fixed_settings=lambda model: frozenset(),
    )
    events = [event async for event in doctor.run(name, limits=BRIEF)]
    assert isinstance(events[-1], DoctorDone)
    return events[-1].report


def damage(settings: Settings, tensor: str, how: Damage) -> str:
    """A copy of the starter model with one tensor changed; its name."""
    starter = find_starter()
    assert starter is not None
    copy = settings.models_dir / "damaged.gguf"
    shutil.copy(starter, copy)
    (found,) = (each for each in gguf.GGUFReader(copy).tensors if each.name == tensor)
    file = np.memmap(copy, np.uint8, "r+")
    how(file[found.data_offset : found.data_offset + found.n_bytes])
    file.flush()
    return copy.name


async def test_the_starter_model_is_sound(settings: Settings, database: Database) -> None:
    report = await examine(settings, database, "SmolLM2-135M-Instruct.Q4_1")
    states = {check.name: check.state for check in report.checks}
    assert {states[name] for name in ("header", "tokenizer", "template", "output")} == {"ok"}, report.checks
    assert report.state != "fail"
    assert report.summary.startswith("Works.")
    (speed,) = (check for check in report.checks if check.name == "speed")
    assert all(figure.value > 0 for figure in speed.figures)
    assert report.library.startswith("llama-cpp-python ")
    assert report.seconds < 30


@pytest.mark.parametrize(
    ("tensor", "how", "words"),
    [("blk.5.ffn_up.weight", no_number, "no numbers"), ("blk.0.ffn_down.weight", nothing, "broken")],
)
async def test_a_damaged_copy_is_caught(
    settings: Settings, database: Database, tensor: str, how: Damage, words: str
) -> None:
    report = await examine(settings, database, damage(settings, tensor, how))
    assert report.state == "fail"
    assert words in report.summary
