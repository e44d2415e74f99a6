"""One examination: the checks in their order, each told when it begins and when it is done, within one budget.

A check that fails does not end it; what cannot be looked at any more says why. It does not know who asked, nor where
the report is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from webui.core.doctor.engine import DoctorEngineFactory
from webui.core.doctor.file_checks import HEADER_TITLE, TOKENIZER_TITLE, check_header, check_tokenizer
from webui.core.doctor.identity import count_logical_cpus, describe_machine, library_name
from webui.core.doctor.json_check import TITLE as JSON_TITLE
from webui.core.doctor.json_check import check_json
from webui.core.doctor.limits import Budget, DoctorLimits
from webui.core.doctor.output_check import TITLE as OUTPUT_TITLE
from webui.core.doctor.output_check import check_output
from webui.core.doctor.quiet import Quiet
from webui.core.doctor.shelf import EngineShelf
from webui.core.doctor.speed import TITLE as SPEED_TITLE
from webui.core.doctor.speed import Pace, check_speed
from webui.core.doctor.subject import OutOfTime, Subject
from webui.core.doctor.summary import overall_state, summarize, tuning_check
from webui.core.doctor.template_check import TITLE as TEMPLATE_TITLE
from webui.core.doctor.template_check import check_template
from webui.core.doctor.tools_check import TITLE as TOOLS_TITLE
from webui.core.doctor.tools_check import check_tools
from webui.core.doctor.trial_plans import Machine
from webui.core.doctor.trials import Trials
from webui.core.doctor.vector_checks import check_ranking, check_vector_speed, check_vectors
from webui.errors import EngineError, GlasshouseError
from webui.library.gguf import GgufHeader, read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan
from webui.types import (
    Check,
    CheckName,
    DoctorChecked,
    DoctorEvent,
    DoctorProgress,
    DoctorReport,
    EngineOptions,
    ModelFile,
    Trial,
    Tuning,
)

_log = logging.getLogger(__name__)

CHECKS: dict[CheckName, str] = {
    "header": HEADER_TITLE,
    "tokenizer": TOKENIZER_TITLE,
    "template": TEMPLATE_TITLE,
    "output": OUTPUT_TITLE,
    "speed": SPEED_TITLE,
    "json": JSON_TITLE,
    "tools": TOOLS_TITLE,
    "tuning": "Settings",
}
_DOING: dict[CheckName, str] = {
    "header": "Reading the file",
    "tokenizer": "Trying the tokenizer",
    "template": "Trying the chat template",
    "output": "Looking at what it writes",
    "json": "Asking for JSON",
    "tools": "Offering tools",
    "speed": "Measuring the speed",
    "tuning": "Trying settings",
}
_SIDE_BY_SIDE = 1.1  #: times the plan must be free for a second engine


class _EngineGone(Exception):
    """The engine died under a check, which tells it: nothing more can be asked."""


@dataclass(slots=True)
class Examination:
    """`plan` is how the model is started for this, or why it cannot be; `fixed` are settings that the person has
    chosen."""

    model: ModelFile
    plan: FitPlan | GlasshouseError
    limits: DoctorLimits
    create_engine: DoctorEngineFactory
    is_busy: Callable[[], bool]
    tell: Callable[[DoctorEvent], None]
    fixed: frozenset[str] = frozenset()
    wants_memory: bool = False
    checks: list[Check] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    tuning: Tuning = field(default_factory=Tuning)

    async def run(self) -> DoctorReport:
        """The report, but for its `key`."""
        began_at = time.monotonic()
        budget = Budget(self.limits)
        shelf = EngineShelf(self.create_engine, self.model, budget)
        thinks = False
        try:
            subject = await self._admit(shelf, budget)
            if subject is not None:
                with contextlib.suppress(_EngineGone):
                    await self._examine(subject, shelf)
                thinks = subject.thinks
        finally:
            await asyncio.shield(shelf.close())
        self._skip_the_rest()
        return DoctorReport(
            model_id=self.model.id,
            model_name=self.model.name,
            created_at=time.time(),
            seconds=round(time.monotonic() - began_at, 1),
            state=overall_state(self.checks),
            summary=summarize(self.checks, self.tuning, thinks=thinks),
            checks=tuple(self.checks),
            tuning=self.tuning,
            trials=tuple(self.trials),
            machine=describe_machine(),
            library=library_name(),
        )

    # --- the checks ------------------------------------------------------------------------------------------------

    async def _admit(self, shelf: EngineShelf, budget: Budget) -> Subject | None:
        """Read the header and load the model; None when it cannot be, which the header's check tells."""
        self._progress(budget, "header")
        quiet = Quiet(self.is_busy, budget, on_wait=lambda is_waiting: self._progress(budget, None, is_waiting))
        await quiet.wait()  # loading alone would slow down whoever is answered
        try:
            if isinstance(self.plan, GlasshouseError):
                raise self.plan
            header: GgufHeader = await asyncio.to_thread(read_header, self.model.path)
            engine, info = await shelf.get_with_info(_quiet_options(self.plan))
        except (GlasshouseError, OSError) as error:
            if isinstance(error, EngineError):
                _log.warning("%s could not be examined: %s", self.model.name, error)
            words = error.message if isinstance(error, GlasshouseError) else f"The file cannot be read ({error})."
            self._add(Check(name="header", title=HEADER_TITLE, state="fail", words=words))
            return None
        budget.give_back(budget.used)
        self._add(check_header(self.model, header))
        return Subject(self.model, header, info, engine, budget, quiet, load_seconds=shelf.load_seconds)

    async def _examine(self, subject: Subject, shelf: EngineShelf) -> None:
        if subject.info.kind != "chat":
            look = check_ranking if subject.info.kind == "rerank" else check_vectors
            await self._check(subject, "output", lambda: look(subject))
            if overall_state(self.checks) != "fail":
                await self._check(subject, "speed", lambda: check_vector_speed(subject))
            return
        await self._check(subject, "tokenizer", lambda: check_tokenizer(subject))
        await self._check(subject, "template", lambda: check_template(subject))
        await self._check(subject, "output", lambda: check_output(subject))
        if overall_state(self.checks) == "fail":
            return
        pace: list[Pace] = []

        async def measure() -> Check:
            check, measured = await check_speed(subject)
            pace.append(measured)
            return check

        await self._check(subject, "speed", measure)
        await self._check(subject, "json", lambda: check_json(subject))
        await self._check(subject, "tools", lambda: check_tools(subject))
        plan = self.plan
        if pace and self.limits.has_trials and isinstance(plan, FitPlan):
            await self._check(subject, "tuning", lambda: self._try_settings(subject, shelf, pace[0], plan))

    async def _check(self, subject: Subject, name: CheckName, look: Callable[[], Awaitable[Check]]) -> None:
        self._progress(subject.budget, name)
        try:
            check = await look()
        except OutOfTime:
            words = "There was no time left for this: the model is slow on this machine."
            check = Check(name=name, title=CHECKS[name], state="skipped", words=words)
        except EngineError as error:
            self._add(Check(name=name, title=CHECKS[name], state="fail", words=error.message))
            raise _EngineGone from error
        except GlasshouseError as error:
            check = Check(name=name, title=CHECKS[name], state="fail", words=error.message)
        self._add(check)

    async def _try_settings(self, subject: Subject, shelf: EngineShelf, pace: Pace, plan: FitPlan) -> Check:
        memory = read_memory()
        vram_free = sum(gpu.free_bytes for gpu in memory.gpus)
        has_room = memory.ram_free > _SIDE_BY_SIDE * plan.ram_needed
        shelf.capacity = 2 if has_room and vram_free >= _SIDE_BY_SIDE * plan.vram_needed else 1
        machine = Machine(physical_cores=count_physical_cores(), logical_cpus=count_logical_cpus())
        trials = Trials(
            subject, shelf, _quiet_options(plan), pace, machine, fixed=self.fixed, wants_memory=self.wants_memory
        )
        self.tuning = await trials.run(lambda words: self._progress(subject.budget, "tuning", words=words))
        self.trials = trials.results
        return tuning_check(self.tuning, trials.results, trials.reasons)

    # --- telling ---------------------------------------------------------------------------------------------------

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        self.tell(DoctorChecked(check=check))

    def _progress(self, budget: Budget, name: CheckName | None, is_waiting: bool = False, *, words: str = "") -> None:
        said = "Waiting until nobody uses the models" if is_waiting else words or (_DOING[name] if name else "Going on")
        self.tell(DoctorProgress(fraction=budget.fraction, words=said, check=name, is_waiting=is_waiting))

    def _skip_the_rest(self) -> None:
        """Say of each check that was not made why."""
        done = {check.name for check in self.checks}
        for name, title in CHECKS.items():
            if name not in done:
                self._add(Check(name=name, title=title, state="skipped", words=self._reason_to_skip(name)))

    def _reason_to_skip(self, name: CheckName) -> str:
        if self.model.kind != "chat":
            return "This is for models that chat."
        if any(check.state == "fail" for check in self.checks):
            return "Not looked at after what was found before."
        if name == "tuning" and not self.limits.has_trials:
            return "Settings were not to be tried."
        return "There was no time left for this: the model is slow on this machine."


def _quiet_options(plan: FitPlan) -> EngineOptions:
    """As it would be served, but with nothing kept of what is asked, and without guesses: these are for trials."""
    return msgspec.structs.replace(
        plan.options, state_dir=None, state_bytes=0, parked_bytes=0, speculate=False, draft_model_path=None
    )
