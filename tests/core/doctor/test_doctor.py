"""The doctor over a model that costs nothing."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec import structs

from tests.core.doctor.fake_doctor import PLAN, FakeHouse, FakeModel, full_house, model_at, plan_if_alone, sensible
from tests.core.fake_engine import FakeCatalog
from tests.library.gguf_files import write_model
from webui.core.doctor import quiet
from webui.core.doctor.doctor import Doctor, current_tuning
from webui.core.doctor.limits import DoctorLimits
from webui.core.neighbours import Neighbours
from webui.core.planning import Planner, Target
from webui.errors import DoctorBusy, DoctorNeedsRoom, EngineDied, LoadFailed, NoDoctorReport, UnknownModel
from webui.library.memory_fit import FitPlan
from webui.store.database import Database
from webui.store.doctor_reports import DoctorReports
from webui.types import (
    Check,
    CheckName,
    DoctorChecked,
    DoctorDone,
    DoctorEvent,
    DoctorProgress,
    DoctorReport,
    DoctorStarted,
    EngineOptions,
    GenerationRequest,
    ModelFile,
    ModelKind,
    Tuning,
)

PATIENT = DoctorLimits(seconds=3600)  #: the fake takes no time
NO_TRIALS = DoctorLimits(seconds=3600, has_trials=False)


class Practice:
    """A doctor, and what is around it."""

    def __init__(self, database: Database, path: Path, model: FakeModel, house: FakeHouse | None = None) -> None:
        self.model = model
        self.file = model_at(path)
        self.house = house or FakeHouse()
        self.reports = DoctorReports(database)
        self.fixed: frozenset[str] = frozenset()
        self.planner: Planner = lambda target, neighbours: PLAN
        self.doctor = Doctor(
            self._find,
            self.reports,
            self.house,
            self._plan,
            create_engine=model.create_engine,
            fixed_settings=lambda model: self.fixed,
        )

    async def _find(self, name: str) -> ModelFile:
        return await FakeCatalog(self.file).find(name)

    def _plan(self, target: Target, neighbours: Neighbours) -> FitPlan:
        return self.planner(target, neighbours)

    async def examine(self, limits: DoctorLimits = PATIENT, *, unload: bool = False) -> list[DoctorEvent]:
        return [event async for event in self.doctor.run("small", limits=limits, unload=unload)]

    async def report(self, limits: DoctorLimits = PATIENT) -> DoctorReport:
        last = (await self.examine(limits))[-1]
        assert isinstance(last, DoctorDone)
        return last.report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "small.gguf")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet.Quiet.__init__, "__kwdefaults__", {"poll_seconds": 0.001, "rest_seconds": 0.002})


def check(report: DoctorReport, name: CheckName) -> Check:
    return next(each for each in report.checks if each.name == name)


async def test_a_sound_model_gets_a_card(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel())
    events = await practice.examine()
    assert isinstance(events[0], DoctorStarted)
    assert events[0].checks == ("header", "tokenizer", "template", "output", "speed", "json", "tools", "tuning")
    told = [event.check.name for event in events if isinstance(event, DoctorChecked)]
    assert told == list(events[0].checks), "each check is told when it is done"
    assert isinstance(events[-1], DoctorDone)
    report = events[-1].report
    assert report.state == "ok", report.checks
    assert report.summary == (
        "Works. Here it reads 400 tokens a second (pp512) and writes 50.0 (tg100). JSON: yes; Tools: yes; Thinking: no."
    )
    assert practice.doctor.report("small") == report
    assert practice.model.num_running == 0, "every engine is stopped"


async def test_the_figures_are_the_fields_own(database: Database, path: Path) -> None:
    report = await Practice(database, path, FakeModel(writing=lambda options: 90.0)).report(NO_TRIALS)
    reading, writing, *_ = check(report, "speed").figures
    assert (reading.label, reading.value, reading.unit) == ("pp512", 400.0, "tokens/s")
    assert (writing.label, writing.value) == ("tg128", 90.0)
    assert check(report, "tuning").words == "Settings were not to be tried."


async def test_a_slow_model_is_asked_for_less(database: Database, path: Path) -> None:
    slow = FakeModel(reading=lambda options: 20.4, writing=lambda options: 3.0)
    report = await Practice(database, path, slow).report(NO_TRIALS)
    speed = check(report, "speed")
    assert [figure.label for figure in speed.figures[:2]] == ["pp39", "tg6"]
    assert (speed.state, "slower than people read" in speed.words) == ("warn", True)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (FakeModel(num_nan=7), "no numbers"),
        (FakeModel(nats_per_byte=1.2), "broken"),
        (FakeModel(logprob=-9.0), "garble"),
        (FakeModel(answer=lambda request: "so " * 40), "garble"),
        (FakeModel(answer=lambda request: "\ufffd\x02 a"), "garble"),
        (FakeModel(answer=lambda request: ""), "garble"),
    ],
)
async def test_a_broken_model_is_caught_and_spared_the_rest(
    database: Database, path: Path, model: FakeModel, words: str
) -> None:
    report = await Practice(database, path, model).report()
    assert report.state == "fail"
    assert words in report.summary
    assert {check(report, name).state for name in ("speed", "json", "tools", "tuning")} == {"skipped"}


async def test_a_model_that_needs_a_schema_is_no_bad_model(database: Database, path: Path) -> None:
    def talks(request) -> str:  # type: ignore[no-untyped-def]
        return FakeModel().answer(request) if request.sampling.grammar else "I would rather talk about the sea."

    report = await Practice(database, path, FakeModel(answer=talks, knows_tools=False)).report(NO_TRIALS)
    assert report.state == "ok"
    assert "JSON: with a schema; Tools: with a schema" in report.summary
    assert "knows no tools" in check(report, "tools").words


async def test_a_template_without_a_system_prompt_is_bridged(database: Database, path: Path) -> None:
    template = check(await Practice(database, path, FakeModel(takes_system=False)).report(NO_TRIALS), "template")
    assert template.state == "ok"
    assert "in front of the first message" in template.words


async def test_what_cannot_be_loaded_is_a_finding(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel(load_error=LoadFailed("Small", "its tensors are gone")))
    report = await practice.report()
    assert (report.state, check(report, "header").state) == ("fail", "fail")
    assert "its tensors are gone" in report.summary
    assert check(report, "output").state == "skipped"
    os.truncate(path, 20)
    practice.model.load_error = None
    assert check(await practice.report(), "header").state == "fail"


MUSIC = {"A man": (1.0, 0.1), "Someb": (1.0, 0.2), "The s": (0.1, 1.0)}


@pytest.mark.parametrize(
    ("kind", "vectors", "state"),
    [
        ("embedding", MUSIC, "ok"),
        ("embedding", MUSIC | {"The s": (1.0, 0.15)}, "fail"),
        ("embedding", MUSIC | {"The s": (math.nan, 0.15)}, "fail"),
        ("rerank", {}, "ok"),
    ],
)
async def test_models_that_embed_and_rank_have_their_own_checks(
    database: Database, path: Path, kind: ModelKind, vectors: dict[str, tuple[float, float]], state: str
) -> None:
    practice = Practice(database, path, FakeModel(kind=kind, vectors=vectors))
    practice.file = structs.replace(practice.file, kind=kind)
    report = await practice.report()
    assert report.state == state
    assert check(report, "json").state == "skipped"
    assert report.summary.startswith("Works. Here it reads") == (state == "ok")


async def test_an_engine_that_dies_is_a_finding(database: Database, path: Path) -> None:
    def dies(request: GenerationRequest) -> str:
        if "JSON" in request.messages[-1].content:
            raise EngineDied("it was killed")
        return sensible(request)

    report = await Practice(database, path, FakeModel(answer=dies)).report()
    assert (report.state, check(report, "json").state, check(report, "tools").state) == ("fail", "fail", "skipped")
    assert "it was killed" in report.summary


# --- settings --------------------------------------------------------------------------------------------------------


def faster_with_two_threads(options: EngineOptions) -> float:
    return 80.0 if options.threads == 2 else 50.0


async def test_what_is_faster_is_recommended_and_used_from_then_on(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.core.doctor.examination.count_physical_cores", lambda: 4)
    practice = Practice(database, path, FakeModel(writing=faster_with_two_threads))
    report = await practice.report()
    assert report.tuning == Tuning(threads=2)
    assert "Recommended here: 2 threads." in report.summary
    (threads,) = (trial for trial in report.trials if trial.setting == "threads" and trial.tried == "2")
    assert threads.is_better and threads.num_rounds == 3, "a clear difference ends a trial"
    assert current_tuning(practice.reports, practice.file) == Tuning(threads=2)
    later = [trial for trial in report.trials if trial.setting == "flash_attention"]
    assert later and not later[0].is_better
    os.utime(path, (1, 1))
    assert current_tuning(practice.reports, practice.file) == Tuning(), "it is another file now"
    assert not (await practice.doctor.current_report("small")).is_current


async def test_what_the_person_has_set_is_not_tried(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel(writing=faster_with_two_threads))
    practice.fixed = frozenset({"threads", "flash_attention", "speculate", "batch_tokens", "kv_type"})
    report = await practice.report()
    assert (report.tuning, report.trials) == (Tuning(), ())
    assert "you have set it" in check(report, "tuning").words
    assert len(practice.model.engines) == 1


async def test_a_trial_that_fails_is_told_and_ends_nothing(database: Database, path: Path) -> None:
    def no_flash(options: EngineOptions) -> float:
        if options.flash_attention == "off":
            raise LoadFailed("Small", "flash attention is needed.")
        return 50.0

    report = await Practice(database, path, FakeModel(writing=no_flash)).report()
    assert "off does not work here" in check(report, "tuning").words
    assert [trial.setting for trial in report.trials if trial.setting == "speculate"]


# --- people come first -----------------------------------------------------------------------------------------------


async def test_nothing_is_measured_while_people_chat(database: Database, path: Path) -> None:
    model = FakeModel()
    practice = Practice(database, path, model)
    practice.house.busy_looks = [True, True, True]
    events = await practice.examine(NO_TRIALS)
    waiting = [event for event in events if isinstance(event, DoctorProgress) and event.is_waiting]
    assert len(waiting) == 1
    assert isinstance(events[-1], DoctorDone) and events[-1].report.state == "ok"


async def test_what_somebody_disturbs_is_done_again(database: Database, path: Path) -> None:
    asked: list[str] = []
    practice = Practice(database, path, FakeModel())

    def somebody_comes() -> None:
        asked.append("")
        if len(asked) == 1:
            practice.model.may_answer.clear()
            practice.house.busy_looks = [True]
            asyncio.get_running_loop().call_later(0.02, practice.model.may_answer.set)

    practice.model.before_answer = somebody_comes
    report = await practice.report(NO_TRIALS)
    undisturbed: list[str] = []
    other = FakeModel(before_answer=lambda: undisturbed.append(""))
    await Practice(database, path, other).report(NO_TRIALS)
    assert len(asked) == len(undisturbed) + 1
    assert report.state == "ok"


async def test_one_examination_at_a_time_and_leaving_ends_it(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel())
    async with aclosing(practice.doctor.run("small", limits=PATIENT)) as events:
        while not isinstance(await anext(events), DoctorChecked):
            pass
        assert practice.doctor.running == "small"
        with pytest.raises(DoctorBusy, match="Small"):
            await anext(practice.doctor.run("small"))
        assert practice.model.num_running == 1
    assert practice.model.num_running == 0
    assert not practice.doctor.running
    assert practice.doctor.report("small") is None, "half an examination is none"


async def test_a_full_house_is_asked_before_a_model_is_unloaded(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel(), full_house())
    practice.planner = plan_if_alone
    with pytest.raises(DoctorNeedsRoom, match=r"5\.0 GB.*1\.0 GB.*Large"):
        await practice.examine(NO_TRIALS)
    assert (practice.house.num_unloads, practice.doctor.running) == (0, None)
    events = await practice.examine(NO_TRIALS, unload=True)
    assert isinstance(events[-1], DoctorDone)
    assert practice.house.num_unloads == 1


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_a_report_can_be_asked_for_and_forgotten(database: Database, path: Path) -> None:
    practice = Practice(database, path, FakeModel())
    changed: list[str] = []
    practice.doctor.changed.subscribe(changed.append)
    with pytest.raises(NoDoctorReport):
        await practice.doctor.current_report("small")
    with pytest.raises(UnknownModel):
        await practice.doctor.current_report("nobody")
    report = await practice.report(NO_TRIALS)
    assert await practice.doctor.current_report("small") == report
    await practice.doctor.forget("small")
    with pytest.raises(NoDoctorReport):
        await practice.doctor.forget("small")
    assert changed == ["small", "small"]
