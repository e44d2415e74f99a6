"""The sheet's tab Doctor: an examination that is watched live, and the card that stays."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
from nicegui import background_tasks
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.errors import DoctorNeedsRoom, GlasshouseError
from webui.types import (
    Check,
    DoctorChecked,
    DoctorDone,
    DoctorEvent,
    DoctorProgress,
    DoctorReport,
    DoctorStarted,
    ModelFile,
)
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown


class DoctorPart(SheetPart):
    """An examination that this page began belongs to the page: it ends with the button Stop, or when the page goes."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        self._running: asyncio.Task[None] | None = None
        self._live: Json = {}  # what the running examination has told so far
        self._live_of: str | None = None
        self.watch(application.doctor.changed, self._on_changed)
        element.on("doctor", self._on_doctor)

    async def first(self, model: ModelFile) -> Json:
        live = self._live if self._live_of == model.id else {}
        is_elsewhere = not live and self._app.doctor.running == model.id
        return {"doctor": {"report": await self._read_report(model.id), "isElsewhere": is_elsewhere, **live}}

    async def _read_report(self, model_id: str) -> Json | None:
        try:
            return view_report(await self._app.doctor.current_report(model_id))
        except GlasshouseError:  # nobody has examined it, or it is gone
            return None

    def close(self) -> None:
        super().close()
        self._stop()

    def _on_changed(self, model_id: str) -> None:
        if model_id == self._shown.model_id:
            self.soon(self._tell_report(model_id), name="report of the sheet")

    async def _tell_report(self, model_id: str) -> None:
        self.tell(model_id, doctor={"report": await self._read_report(model_id), "isElsewhere": False})

    async def _on_doctor(self, event: GenericEventArguments) -> None:
        if event.args["action"] == "stop":
            self._stop()
            return
        model_id = str(event.args["id"])
        self._stop()
        self._running = background_tasks.create(
            self._run(model_id, unload=bool(event.args.get("unload"))), name="examine a model"
        )

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self, model_id: str, *, unload: bool) -> None:
        self._live_of = model_id
        self._live = {"isRunning": True, "checks": []}
        try:
            async with aclosing(self._app.doctor.run(model_id, unload=unload)) as events:
                async for event in events:
                    self._show(model_id, view_event(event, self._live["checks"]))
        except DoctorNeedsRoom as error:
            self._show(model_id, {"needsRoom": error.message})
        except GlasshouseError as error:
            self.tell(model_id, error={"place": "doctor", "text": error.message})
        finally:
            self._live_of = None
            self._show(model_id, {"isRunning": False})

    def _show(self, model_id: str, news: Json) -> None:
        self._live |= news
        self.tell(model_id, doctor=news)


def view_event(event: DoctorEvent, checks: list[Json]) -> Json:
    """What an event changes on the page; `checks` are those that were done before."""
    match event:
        case DoctorStarted():
            return {"order": list(event.checks)}
        case DoctorProgress():
            return {"fraction": event.fraction, "words": event.words, "isWaiting": event.is_waiting}
        case DoctorChecked(check=check):
            return {"checks": [*checks, view_check(check)]}
        case DoctorDone(report=report):
            return {"report": view_report(report), "isRunning": False}


def view_check(check: Check) -> Json:
    shown: Json = msgspec.to_builtins(check)
    return shown


def view_report(report: DoctorReport) -> Json:
    return {
        "state": report.state,
        "summary": report.summary,
        "createdAt": report.created_at,
        "seconds": report.seconds,
        "machine": report.machine,
        "library": report.library,
        "isCurrent": report.is_current,
        "checks": [view_check(check) for check in report.checks],
        "tuning": {
            "threads": report.tuning.threads,
            "batchTokens": report.tuning.batch_tokens,
            "flashAttention": report.tuning.flash_attention,
            "kvType": report.tuning.kv_type,
            "speculate": report.tuning.speculate,
        },
        "trials": [
            {
                "setting": trial.setting,
                "usual": trial.usual,
                "tried": trial.tried,
                "ratio": trial.ratio,
                "low": trial.low,
                "high": trial.high,
                "isBetter": trial.is_better,
                "words": trial.words,
            }
            for trial in report.trials
        ],
    }
