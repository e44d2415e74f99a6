"""One model in memory, or on its way there or out: its engine, its status that is always true, and who uses it.

It does not know why it is wanted, nor what to do when its engine fails: that is the pool's, which calls `start` and
`stop` one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from webui.core.engine import EngineProcess, ProcessFactory
from webui.core.neighbours import Footprint
from webui.core.planning import Target
from webui.core.tasks import OwnedTasks
from webui.errors import EngineDied, EngineStopped
from webui.library.memory_fit import FitPlan
from webui.types import EngineLoad, ModelStatus

_log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.1
_MEMORY_SECONDS = 2.0
_MEMORY_STEP = 1_000_000  #: bytes that are worth telling


class LiveModel:
    """starting → ready → stopping → stopped, and `failed` from starting and ready. It lives once."""

    def __init__(
        self,
        target: Target,
        plan: FitPlan,
        engine_factory: ProcessFactory,
        *,
        on_change: Callable[[LiveModel], None],
        tasks: OwnedTasks,
    ) -> None:
        """`on_change` hears of every change of the status. The model counts as starting from now on."""
        self.target = target
        self.engine: EngineProcess | None = None
        self.num_users = 0
        self.used_at = asyncio.get_running_loop().time()  #: when it was last wanted or answered
        self.keep_alive: float | None = None  #: seconds, as the last request that said so wants it; negative: for ever
        self.is_noted = False  #: its load is written down
        self.death: EngineDied | None = None  #: its engine ended although nobody asked for that
        self._plan = plan
        self._create_engine = engine_factory
        self._on_change = on_change
        self._tasks = tasks
        self._status = ModelStatus(state="starting", model=target.model)
        self._number = 0  # what an engine says that is not the newest one is not listened to
        self._exit_error: EngineDied | None = None
        self._progress_shown_at = 0.0
        self._watch: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.target.model.id

    @property
    def status(self) -> ModelStatus:
        if self.engine is not None and self.is_ready and self.engine.memory_bytes != self._status.memory_bytes:
            self._status = msgspec.structs.replace(self._status, memory_bytes=self.engine.memory_bytes)
        return self._status

    @property
    def is_ready(self) -> bool:
        return self._status.state == "ready"

    @property
    def is_alive(self) -> bool:
        """Whether it has memory, or is about to take or give back some."""
        return self._status.state in {"starting", "ready", "stopping"}

    @property
    def footprint(self) -> Footprint:
        return Footprint(self.engine.pid if self.engine is not None else None, self._plan, is_loaded=self.is_ready)

    def note(self, **changes: Any) -> None:
        """Change what the status says beside what is true anyway: `error` or `note`, a sentence or None."""
        self._show(msgspec.structs.replace(self._status, **changes))

    def running_engine(self) -> EngineProcess:
        """Raises EngineDied or EngineStopped where there is none any more."""
        if self.engine is None:
            raise EngineStopped if self.death is None else self.death.with_traceback(None)
        return self.engine

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Counts as busy inside the block."""
        self.num_users += 1
        try:
            yield
        finally:
            self.num_users -= 1
            self.used_at = asyncio.get_running_loop().time()

    # --- starting and stopping -------------------------------------------------------------------------------------

    async def start(self, plan: FitPlan, note: str | None = None) -> None:
        """Start an engine with this plan. A failure leaves none; it may be tried again with another plan, or given up
        with `fail`. `note` is what to tell of it once it is ready."""
        self._plan = plan
        self._number += 1
        number = self._number
        self._exit_error = None
        engine = self.engine = self._create_engine(
            on_load_progress=partial(self._on_progress, number),
            on_engine_load=partial(self._on_engine_load, number),
            on_exit=partial(self._on_exit, number),
        )
        try:
            info = await engine.start(self.target.model, plan.options)
            if self._exit_error is not None:
                raise self._exit_error
        except BaseException:
            await self._discard()
            raise
        note = note or _context_note(self.target, plan)
        if note is not None:
            _log.warning("%s: %s", self.target.model.name, note)
        self.note(state="ready", progress=1.0, info=info, memory_bytes=engine.memory_bytes, note=note)
        self._watch = self._tasks.start(self._watch_memory())

    def fail(self, sentence: str) -> None:
        """Every try to start it came to nothing."""
        self._show(ModelStatus(state="failed", model=self.target.model, error=sentence))

    async def stop(self) -> None:
        """Stop the engine, if there is one; what it was answering ends with EngineStopped."""
        if self.engine is not None:
            self.note(state="stopping")
            await self._discard()
        self._show(ModelStatus())

    async def _discard(self) -> None:
        engine = self._forget()
        if engine is not None:
            await self._tasks.finish(engine.stop())  # who is cancelled meanwhile leaves nothing that runs

    def _forget(self) -> EngineProcess | None:
        engine, self.engine = self.engine, None
        self._number += 1
        if self._watch is not None:
            self._watch.cancel()
        return engine

    # --- what the engine says --------------------------------------------------------------------------------------

    def _on_progress(self, number: int, fraction: float) -> None:
        if number != self._number or self._status.state != "starting":
            return
        self._status = msgspec.structs.replace(self._status, progress=fraction)
        now = asyncio.get_running_loop().time()
        if now - self._progress_shown_at >= _PROGRESS_SECONDS:
            self._progress_shown_at = now
            self._on_change(self)

    def _on_engine_load(self, number: int, load: EngineLoad) -> None:
        if number == self._number:
            self.note(load=load)

    def _on_exit(self, number: int, error: EngineDied | None) -> None:
        if number != self._number or error is None:
            return
        self._exit_error = error
        if not self.is_ready:
            return  # `start` raises, and knows better why
        _log.error("The engine of %s died: %s", self.target.model.name, error)
        self.death = error
        engine = self._forget()
        if engine is not None:
            self._tasks.start(engine.stop())  # its process is gone; this frees what stood around it
        self.fail(str(error))

    async def _watch_memory(self) -> None:
        """Tell how much memory the engine holds, as long as it lives."""
        shown = self._status.memory_bytes
        while True:
            await asyncio.sleep(_MEMORY_SECONDS)
            if abs(self.status.memory_bytes - shown) >= _MEMORY_STEP:
                shown = self._status.memory_bytes
                self._on_change(self)

    def _show(self, status: ModelStatus) -> None:
        if status != self._status:
            self._status = status
            self._on_change(self)


def _context_note(target: Target, plan: FitPlan) -> str | None:
    """What to tell of a context that the settings ask for and this model cannot use; None when it is as asked."""
    used, trained = plan.options.context_tokens, target.model.context_train
    if target.ctx is None or used >= target.ctx:
        return None
    return f"{used:,} tokens of context instead of the {target.ctx:,} in the settings: it was trained for {trained:,}"
