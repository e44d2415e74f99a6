"""Reports of examinations in SQLite."""

from __future__ import annotations

from webui.store.database import Database
from webui.store.doctor_reports import DoctorReports
from webui.types import Check, DoctorReport, Figure, Trial, Tuning

REPORT = DoctorReport(
    model_id="small",
    model_name="Small",
    created_at=5.0,
    seconds=40.0,
    state="warn",
    summary="Works.",
    checks=(
        Check(name="speed", title="Speed", state="ok", words="Fast.", figures=(Figure(label="tg128", value=45.1),)),
    ),
    tuning=Tuning(threads=1),
    trials=(
        Trial(
            setting="threads",
            usual="2",
            tried="1",
            ratio=1.2,
            low=1.1,
            high=1.3,
            num_rounds=3,
            is_better=True,
            words="",
        ),
    ),
    key="k",
)


async def test_a_report_is_found_again_after_a_restart(database: Database) -> None:
    reports = DoctorReports(database)
    await reports.put(REPORT)
    assert reports.get("small") == REPORT
    later = DoctorReports(database)
    assert later.get("small") is None, "nothing is known before it is loaded"
    await later.load()
    assert later.all() == (REPORT,)


async def test_a_new_report_takes_the_place_of_the_old_one_and_can_be_forgotten(database: Database) -> None:
    reports = DoctorReports(database)
    await reports.put(REPORT)
    newer = DoctorReport(model_id="small", model_name="Small", created_at=6.0, seconds=1.0, state="ok", summary="")
    await reports.put(newer)
    assert reports.get("small") == newer
    assert await reports.delete("small")
    assert not await reports.delete("small")
    await reports.load()
    assert reports.all() == ()


async def test_a_damaged_report_counts_as_not_made(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO doctor_reports VALUES ('small', 1.0, '{\"model_id\": 3}')")
    reports = DoctorReports(database)
    await reports.load()
    assert reports.get("small") is None
