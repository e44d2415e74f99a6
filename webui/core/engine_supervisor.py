"""At most one engine: started, listened to and stopped, and the status that is always true of it.

It does not know why an engine is wanted, nor what to do when one fails: that is the model manager's, which calls
`start` and `stop` one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import msgspec

from webui.core.engine import Engine, EngineFactory
from webui.core.neighbours import Footprint
from webui.core.planning import Target
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import EngineDied
from webui.library.memory_fit import FitPlan
from webui.types import EngineLoad, ModelStatus

_log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.1
_MEMORY_SECONDS = 2.0
_MEMORY_STEP = 1_000_000  #: bytes that are worth telling


class EngineSupervisor:
    """stopped → starting → ready → stopping → stopped, and `failed` from starting and ready."""

    def __init__(self, engine_factory: EngineFactory) -> None:
        self.changed: Signal[ModelStatus] = Signal()
        self.engine: Engine | None = None
        self.target: Target | None = None  #: what is loaded; None unless ready
        self.footprint: Footprint | None = None
        self._create_engine = engine_factory
        self._tasks = OwnedTasks()
        self._status = ModelStatus()
        self._number = 0  # what an engine says that is not the newest one is not listened to
        self._exit_error: EngineDied | None = None
        self._progress_shown_at = 0.0

    @property
    def status(self) -> ModelStatus:
        if self.engine is not None and self.engine.memory_bytes != self._status.memory_bytes:
            self._status = msgspec.structs.replace(self._status, memory_bytes=self.engine.memory_bytes)
        return self._status

    @property
    def is_ready(self) -> bool:
        return self._status.state == "ready"

    def note_error(self, sentence: str | None, **changes: Any) -> None:
        """Show what went wrong (None: nothing any more) beside what is otherwise true."""
        self._set(error=sentence, **changes)

    async def start(self, target: Target, plan: FitPlan) -> Engine:
        """Start an engine; there must be none. A failure leaves none, and the state `failed`."""
        self._number += 1
        number = self._number
        self._exit_error = None
        engine = self.engine = self._create_engine(
            on_load_progress=partial(self._on_progress, number),
            on_engine_load=partial(self._on_engine_load, number),
            on_exit=partial(self._on_exit, number),
        )
        self._show(ModelStatus(state="starting", model=target.model))
        try:
            info = await engine.start(target.model, plan.options)
            if self._exit_error is not None:
                raise self._exit_error
        except BaseException as error:
            await self._discard()
            if isinstance(error, asyncio.CancelledError):
                self._show(ModelStatus())
            else:
                self._show(ModelStatus(state="failed", model=target.model, error=str(error)))
            raise
        self.target = target
        self.footprint = Footprint(engine.pid, plan)
        note = _context_note(target, plan)
        if note is not None:
            _log.warning("%s: %s", target.model.name, note)
        self._set(state="ready", progress=1.0, info=info, memory_bytes=engine.memory_bytes, note=note)
        self._tasks.start(self._watch_memory(number))
        return engine

    async def stop(self) -> None:
        """Stop the engine, if there is one; also makes a `failed` state a `stopped` one."""
        if self.engine is not None:
            self._set(state="stopping")
            await self._discard()
        self._show(ModelStatus())

    async def close(self) -> None:
        await self.stop()
        await self._tasks.close()

    async def _discard(self) -> None:
        engine = self._forget()
        if engine is not None:
            await self._tasks.finish(engine.stop())  # a cancelled swap must not leave an engine that is still there

    def _forget(self) -> Engine | None:
        engine, self.engine = self.engine, None
        self.target = self.footprint = None
        self._number += 1
        return engine

    # --- what the engine says --------------------------------------------------------------------------------------

    def _on_progress(self, number: int, fraction: float) -> None:
        if number != self._number or self._status.state != "starting":
            return
        self._status = msgspec.structs.replace(self._status, progress=fraction)
        now = asyncio.get_running_loop().time()
        if now - self._progress_shown_at >= _PROGRESS_SECONDS:
            self._progress_shown_at = now
            self.changed.emit(self.status)

    def _on_engine_load(self, number: int, load: EngineLoad) -> None:
        if number == self._number:
            self._set(load=load)

    def _on_exit(self, number: int, error: EngineDied | None) -> None:
        if number != self._number or error is None:
            return
        self._exit_error = error
        if not self.is_ready:
            return  # `start` raises, and knows better why
        _log.error("The engine died: %s", error)
        engine, model = self._forget(), self._status.model
        if engine is not None:
            self._tasks.start(engine.stop())  # its process is gone; this frees what stood around it
        self._show(ModelStatus(state="failed", model=model, error=str(error)))

    async def _watch_memory(self, number: int) -> None:
        """Tell the listeners how much memory this engine holds, as long as it lives and somebody listens."""
        shown = self._status.memory_bytes
        while number == self._number:
            await asyncio.sleep(_MEMORY_SECONDS)
            if self.changed.has_listeners and abs(self.status.memory_bytes - shown) >= _MEMORY_STEP:
                shown = self._status.memory_bytes
                self.changed.emit(self._status)

    def _set(self, **changes: Any) -> None:
        self._show(msgspec.structs.replace(self._status, **changes))

    def _show(self, status: ModelStatus) -> None:
        if status != self._status:
            self._status = status
            self.changed.emit(status)


def _context_note(target: Target, plan: FitPlan) -> str | None:
    """What to tell of a context that the settings ask for and this model cannot use; None when it is as asked."""
    used, trained = plan.options.context_tokens, target.model.context_train
    if target.ctx is None or used >= target.ctx:
        return None
    return f"{used:,} tokens of context instead of the {target.ctx:,} in the settings: it was trained for {trained:,}"
