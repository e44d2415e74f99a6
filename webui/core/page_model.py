"""The model of the page: the one that answers where nobody names a model, and whose status everybody sees.

It is what a person loaded last; where nothing was loaded, or it had to make room, it is the next one that comes. A
person's choice takes its place at once; when that fails, what was there before comes back. It knows the pool, and not
what is asked of a model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from webui.core.engine_pool import EnginePool
from webui.core.live_model import LiveModel
from webui.core.load_wishes import is_same
from webui.core.model_choice import Choice
from webui.core.model_load import Abandoned, ModelLoad
from webui.core.planning import Target
from webui.core.restarts import Restarts
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import EngineStopped, GlasshouseError, LoadOvertaken
from webui.types import ModelStatus

_log = logging.getLogger(__name__)

OnLoaded = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A choice, and how it is to be loaded."""

    choice: Choice
    target: Target


class PageModel:
    """`status` is always true and `changed` says when it becomes another one."""

    def __init__(
        self,
        pool: EnginePool,
        *,
        choose: Callable[[], Awaitable[Wanted]],
        describe: Callable[[LiveModel], Choice],
        restart_seconds: float,
    ) -> None:
        """`choose` says what to load when nothing is; `describe` what a model is that nobody chose here."""
        self.changed: Signal[ModelStatus] = Signal()
        self.live: LiveModel | None = None
        self.choice: Choice | None = None  #: what was chosen with it
        self._pool = pool
        self._choose = choose
        self._describe = describe
        self._tasks = OwnedTasks()
        self._restarts = Restarts(self._tasks, first_seconds=restart_seconds)
        self._selection: ModelLoad | None = None  # a person's choice that is under way
        self._next: Wanted | None = None  # what is about to become the page's
        self._former: Wanted | None = None  # what a failed choice goes back to
        self._error: str | None = None  # while there was never a model
        pool.changed.subscribe(self._on_change)

    @property
    def status(self) -> ModelStatus:
        return self.live.status if self.live is not None else ModelStatus(error=self._error)

    @property
    def is_settled(self) -> bool:
        """Whether it is loaded and no choice is about to take its place."""
        return self.live is not None and self.live.is_ready and self._selection is None

    def note_error(self, sentence: str | None) -> None:
        """Show what went wrong (None: nothing any more) beside what is otherwise true."""
        self._error = sentence
        if self.live is not None:
            self.live.note(error=sentence)
        else:
            self.changed.emit(self.status)

    def succeeded(self, live: LiveModel) -> None:
        """It has answered in order."""
        if live is self.live:
            self._restarts.succeeded()

    # --- a person's choice -----------------------------------------------------------------------------------------

    async def load(self, wanted: Wanted, on_loaded: OnLoaded) -> None:
        """Load it in place of what is there. Raises why not, and LoadOvertaken when another choice came meanwhile."""
        self._restarts.cancel()
        self._restarts.succeeded()
        selection = self._selection
        live = self.live
        if selection is None and live is not None and live.is_ready and is_same(live.target, wanted.target):
            self.choice = wanted.choice
            self.note_error(None)
            await on_loaded()
            return
        if selection is None or not is_same(selection.target, wanted.target):
            self._abandon_selection(is_replaced=True)
            former, selection = selection, ModelLoad(wanted.target)
            selection.waits_for_room = False  # those who wait for it may come and go
            self._selection = selection
            selection.task = self._tasks.start(self._select(selection, wanted, on_loaded, former))
        try:
            await selection.wait()
        except Abandoned as error:
            raise LoadOvertaken(wanted.target.model.name) from error

    async def unload(self) -> None:
        """Give its memory back; what it was answering ends with EngineStopped."""
        self._restarts.cancel()
        selection = self._selection
        self._abandon_selection(is_replaced=False)
        await self._tasks.run(self._unload(selection))

    async def close(self) -> None:
        await self.unload()
        await self._tasks.close()

    def _abandon_selection(self, *, is_replaced: bool) -> None:
        if self._selection is not None:
            self._selection.abandon(is_replaced=is_replaced)
            self._selection = None

    async def _unload(self, selection: ModelLoad | None) -> None:
        if selection is not None and selection.task is not None:
            await asyncio.wait({selection.task})
        self._former = None
        if self._next is not None and self._pool.is_loading(self._next.target.model.id):
            await self._pool.stop_model(self._next.target.model.id)
        if self.live is not None:
            await self._pool.stop(self.live)
            await self.live.stop()  # a failed one is a stopped one now

    async def _select(
        self, selection: ModelLoad, wanted: Wanted, on_loaded: OnLoaded, before: ModelLoad | None
    ) -> None:
        if before is not None and before.task is not None:
            await asyncio.wait({before.task})  # its half-started engine is gone then
        if self._former is None and self.live is not None and self.live.is_ready and self.choice is not None:
            self._former = Wanted(self.choice, self.live.target)
        self._next = wanted
        try:
            live = await self._pool.load(wanted.target, replaces=self.live)
            self._adopt(live, wanted.choice)
            self._former = None
            await on_loaded()
        except (GlasshouseError, Abandoned) as error:
            await self._go_back(error)
            selection.fail(error)
        else:
            selection.succeed(live)
        finally:
            if self._selection is selection:
                self._selection = None

    async def _go_back(self, error: Exception) -> None:
        """A choice came to nothing: tell it, and bring back what had to go for it."""
        former, self._former = self._former, None
        if former is not None and (self.live is None or not self.live.is_alive):
            _log.warning("Loading the former model again")
            self._next = former
            try:
                self._adopt(await self._pool.load(former.target), former.choice)
            except (GlasshouseError, Abandoned):
                _log.exception("The former model could not be loaded again")
                return
        if self.status.error != str(error):
            self.note_error(str(error))

    # --- for those who name no model -------------------------------------------------------------------------------

    async def ensure(self) -> LiveModel:
        """The model of the page, loaded. Callers share one load; one that is cancelled leaves it to the others."""
        while True:
            selection = self._selection
            try:
                live = await (self._ensure_one() if selection is None else selection.wait())
            except Abandoned as error:
                if error.is_replaced:
                    continue
                raise EngineStopped from error
            except GlasshouseError:
                if selection is not None and self.live is not None and self.live.is_ready:
                    continue  # somebody else's choice came to nothing, and what ran before runs
                raise
            if self._selection is None and (live.is_ready or live.death is not None):
                return live

    async def _ensure_one(self) -> LiveModel:
        """Whatever is loaded or loading, else what is to be loaded when nothing is."""
        if self.live is not None and self.live.is_alive and self.choice is not None:
            wanted = Wanted(self.choice, self.live.target)
        else:
            wanted = await self._choose()
            if self._selection is not None or (self.live is not None and self.live.is_alive):
                raise Abandoned(is_replaced=True)  # somebody was faster
            self._next = wanted
            self._restarts.cancel()
        try:
            live = await self._pool.ensure(wanted.target)
        except GlasshouseError as error:
            if self.status.error != str(error):
                self.note_error(str(error))
            raise
        if self._selection is None:
            self._adopt(live, wanted.choice)
        return live

    # --- what becomes of models ------------------------------------------------------------------------------------

    def _on_change(self, live: LiveModel) -> None:
        if live is not self.live and self._is_next(live):
            self._error = None
            wanted = self._next
            self.live = live
            is_it = wanted is not None and is_same(wanted.target, live.target)
            self.choice = wanted.choice if wanted is not None and is_it else self._describe(live)
        if live is not self.live:
            return
        self.changed.emit(self.status)
        if live.death is not None and live.status.state == "failed" and live.status.note is None:
            live.note(note=self._restarts.crashed(lambda: self._restart(live.target)))

    def _is_next(self, live: LiveModel) -> bool:
        """Whether a model that starts is the page's from now on."""
        if live.status.state != "starting" or live.target.model.kind in {"embedding", "rerank"}:
            return False
        is_chosen = self._selection is not None and self._selection.id == live.id
        return is_chosen or self.live is None or not self.live.is_alive

    def _adopt(self, live: LiveModel, choice: Choice) -> None:
        self.choice = choice
        if self.live is not live:
            self.live = live
            self.changed.emit(self.status)

    async def _restart(self, target: Target) -> None:
        if self._selection is not None or (self.live is not None and self.live.is_alive):
            return
        try:
            await self._pool.ensure(target)
        except Abandoned:
            return
        except GlasshouseError as error:
            sentence = self._restarts.crashed(lambda: self._restart(target))
            if self.live is not None:
                self.live.note(error=str(error), note=sentence)
