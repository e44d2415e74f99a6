"""What the doctor found, one report a model, in SQLite and in memory: planning a load asks for it and must not wait.

It knows how to keep reports; whether one is still true of a file and a machine is for whoever asks to say.
"""

from __future__ import annotations

import logging

import msgspec

from webui.store.database import Database
from webui.types import DoctorReport

_log = logging.getLogger(__name__)


class DoctorReports:
    """`get` is free; `await load()` comes before everything else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reports: dict[str, DoctorReport] = {}

    async def load(self) -> None:
        """A report that is damaged, or of another version, is left out and told in the log: it can be made again."""
        rows = await self._database.fetch_all("SELECT model_id, report FROM doctor_reports")
        for model_id, text in rows:
            try:
                self._reports[model_id] = msgspec.json.decode(text, type=DoctorReport)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                _log.warning("The stored examination of %s is damaged (%s): it counts as not made", model_id, error)

    def get(self, model_id: str) -> DoctorReport | None:
        return self._reports.get(model_id)

    def all(self) -> tuple[DoctorReport, ...]:
        return tuple(self._reports.values())

    async def put(self, report: DoctorReport) -> None:
        """Keep it in place of the former one."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO doctor_reports (model_id, created_at, report) VALUES (?, ?, ?) ON CONFLICT (model_id) "
                "DO UPDATE SET created_at = excluded.created_at, report = excluded.report",
                (report.model_id, report.created_at, msgspec.json.encode(report).decode()),
            )
        self._reports[report.model_id] = report

    async def delete(self, model_id: str) -> bool:
        """False when there was none."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM doctor_reports WHERE model_id = ?", (model_id,))
        return self._reports.pop(model_id, None) is not None
