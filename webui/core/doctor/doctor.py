"""The doctor: one examination at a time, told while it goes on, kept when it is done.

It works over an engine process of its own, beside the models that people use, at low priority and only while nobody is
answered; it takes no memory from them unless it is told to. What is looked at is in the modules beside this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from webui.core.doctor.engine import DoctorEngineFactory
from webui.core.doctor.examination import CHECKS, Examination
from webui.core.doctor.house import House
from webui.core.doctor.identity import examination_key
from webui.core.doctor.limits import DoctorLimits
from webui.core.doctor.words import join_words
from webui.core.neighbours import Neighbours
from webui.core.planning import Planner, Target
from webui.core.signal import Signal
from webui.errors import (
    DoctorBusy,
    DoctorNeedsRoom,
    GlasshouseError,
    LoadFailed,
    ModelFileError,
    ModelTooBig,
    NoDoctorReport,
)
from webui.library.memory_fit import DEFAULT_CONTEXT, FitPlan
from webui.store.doctor_reports import DoctorReports
from webui.types import DoctorDone, DoctorEvent, DoctorReport, DoctorStarted, ModelFile, Tuning

CONTEXT = 4096  #: tokens; enough for every check, and little memory
FindModel = Callable[[str], Awaitable[ModelFile]]  #: by whatever name people use; raises UnknownModel
FixedSettings = Callable[[ModelFile], frozenset[str]]  #: those of Tuning's that a person has chosen for a model


class Doctor:
    """`changed` names a model whose report is a new one or gone."""

    def __init__(
        self,
        find_model: FindModel,
        reports: DoctorReports,
        house: House,
        planner: Planner,
        *,
        create_engine: DoctorEngineFactory,
        fixed_settings: FixedSettings,
    ) -> None:
        self.changed: Signal[str] = Signal()
        self._find = find_model
        self._reports = reports
        self._house = house
        self._plan = planner
        self._create_engine = create_engine
        self._fixed_settings = fixed_settings
        self._running: ModelFile | None = None

    @property
    def running(self) -> str | None:
        """The id of the model that is being examined."""
        return self._running.id if self._running is not None else None

    def report(self, model_id: str) -> DoctorReport | None:
        """The last one, as it was: see `current_report` for whether it is still true."""
        return self._reports.get(model_id)

    async def current_report(self, name: str) -> DoctorReport:
        """The last one; `is_current` is False when the file, the machine or the library is another one now. Raises
        UnknownModel or NoDoctorReport."""
        model = await self._find(name)
        report = self._reports.get(model.id)
        if report is None:
            raise NoDoctorReport(model.name)
        return msgspec.structs.replace(report, is_current=await asyncio.to_thread(_is_current, report, model))

    async def forget(self, name: str) -> None:
        """Drop a report and what it recommends. Raises NoDoctorReport; the model may be gone already."""
        if not await self._reports.delete(name):
            model = await self._find(name)
            if not await self._reports.delete(model.id):
                raise NoDoctorReport(model.name)
            name = model.id
        self.changed.emit(name)

    async def run(
        self, name: str, *, unload: bool = False, limits: DoctorLimits | None = None
    ) -> AsyncGenerator[DoctorEvent, None]:
        """Examine a model: DoctorStarted, then what happens, DoctorDone at the end. Closing it cancels.

        With `unload` the models in memory go when there is no room beside them. Raises UnknownModel, DoctorBusy,
        DoctorNeedsRoom, or what planning a load raises; a model that cannot be loaded is a report, not an error.
        """
        model = await self._find(name)
        if self._running is not None:
            raise DoctorBusy(self._running.name)
        self._running = model
        try:
            async with aclosing(self._examine(model, unload=unload, limits=limits or DoctorLimits())) as events:
                async for event in events:
                    yield event
        finally:
            self._running = None

    async def _examine(
        self, model: ModelFile, *, unload: bool, limits: DoctorLimits
    ) -> AsyncGenerator[DoctorEvent, None]:
        try:
            plan: FitPlan | GlasshouseError = await self._make_room(model, unload=unload)
        except (ModelFileError, LoadFailed) as error:
            plan = error  # what is wrong with a file is a finding
        key = await asyncio.to_thread(examination_key, model)
        events: asyncio.Queue[DoctorEvent | None] = asyncio.Queue()
        examination = Examination(
            model,
            plan,
            limits,
            self._create_engine,
            is_busy=lambda: self._house.is_busy,
            tell=events.put_nowait,
            fixed=self._fixed_settings(model),
            wants_memory=isinstance(plan, FitPlan) and await self._wants_memory(model),
        )
        yield DoctorStarted(model_id=model.id, model_name=model.name, seconds=limits.seconds, checks=tuple(CHECKS))
        task = asyncio.ensure_future(examination.run())
        task.add_done_callback(lambda _task: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            report = msgspec.structs.replace(await task, key=key)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._reports.put(report)
        self.changed.emit(model.id)
        yield DoctorDone(report=report)

    # --- memory ----------------------------------------------------------------------------------------------------

    async def _make_room(self, model: ModelFile, *, unload: bool) -> FitPlan:
        """How to start it beside what is loaded; without that where it must be and may go."""
        target = Target(model, ctx=min(CONTEXT, model.context_train or CONTEXT), slots=1)
        try:
            return await asyncio.to_thread(self._plan, target, self._house.neighbours)
        except ModelTooBig as error:
            if not self._house.loaded_names:
                raise
            if not unload:
                needed, free = int(error.details["needed_bytes"] or 0), int(error.details["free_bytes"] or 0)
                raise DoctorNeedsRoom(model.name, join_words(self._house.loaded_names), needed, free) from error
        await self._house.unload()
        return await asyncio.to_thread(self._plan, target, Neighbours())

    async def _wants_memory(self, model: ModelFile) -> bool:
        """Whether a load for chats would get a shorter context than is usual, for want of memory."""
        neighbours = Neighbours(leaving=self._house.neighbours.staying)
        try:
            plan = await asyncio.to_thread(self._plan, Target(model), neighbours)
        except ModelTooBig:
            return True
        return plan.options.context_tokens < min(model.context_train or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def current_tuning(reports: DoctorReports, model: ModelFile) -> Tuning:
    """What trials recommend for this file on this machine; nothing when one of them is another now. Looks at the file,
    so it belongs into a thread."""
    report = reports.get(model.id)
    return report.tuning if report is not None and _is_current(report, model) else Tuning()


def _is_current(report: DoctorReport, model: ModelFile) -> bool:
    try:
        return report.key == examination_key(model)
    except OSError:
        return False
