"""What is alive: every model in memory, each in an engine process of its own, and who makes room for whom.

There are never two loads of one model. Requests to models that are here run side by side; a load that does not fit lets
idle models go, then waits for busy ones to finish, during which those take nobody new, so that everybody's turn comes.
A load that a person asked for waits for nobody. It does not know what a page is, nor which model a name means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from webui.core.engine import ProcessFactory
from webui.core.fallback_plans import Ladder, walk_down
from webui.core.idle_timers import IdleTimers
from webui.core.live_model import LiveModel
from webui.core.load_wishes import is_same
from webui.core.model_load import ModelLoad
from webui.core.planning import Planner, Target
from webui.core.room import Room, find_room
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import EngineStopped, GlasshouseError, LoadFailed
from webui.types import ModelFile

_log = logging.getLogger(__name__)

Serves = Callable[[Target], bool]  #: whether a model that is loaded like this will do


class EnginePool:
    """`async with pool.use(target) as live:`; `changed` tells of every change of a model's status."""

    def __init__(
        self,
        factory_for: Callable[[ModelFile], ProcessFactory],
        planner: Planner,
        *,
        ladder: Ladder,
        keep_alive: Callable[[LiveModel], float],
    ) -> None:
        """`keep_alive`: seconds that an idle model stays, negative for ever; asked whenever one becomes idle."""
        self.changed: Signal[LiveModel] = Signal()
        self._factory_for = factory_for
        self._planner = planner
        self._ladder = ladder
        self._keep_alive = keep_alive
        self._live: dict[str, LiveModel] = {}  # by the model's id, like the others
        self._loads: dict[str, ModelLoad] = {}
        self._bringing: dict[LiveModel, ModelLoad] = {}  # those that start
        self._awaited: dict[ModelLoad, tuple[LiveModel, ...]] = {}  # busy ones that a load waits for
        self._placing = asyncio.Lock()  # who takes or gives memory is decided one at a time
        self._room_changed = asyncio.Event()
        self._tasks = OwnedTasks()
        self._timers = IdleTimers(lambda live: self._tasks.start(self._stop_if_idle(live)))
        self._is_closed = False

    # --- what is true ----------------------------------------------------------------------------------------------

    @property
    def alive(self) -> tuple[LiveModel, ...]:
        return tuple(self._live.values())

    def get(self, model_id: str) -> LiveModel | None:
        return self._live.get(model_id)

    def seconds_left(self, live: LiveModel) -> float | None:
        """Until it goes because nobody uses it; None while it is used, or when it stays."""
        return self._timers.seconds_left(live)

    def is_idle(self, live: LiveModel) -> bool:
        return live.is_ready and not live.num_users and live not in self._bringing

    def is_loading(self, model_id: str) -> bool:
        return model_id in self._loads

    async def plan(self, target: Target, replaces: LiveModel | None) -> Room:
        """What loading it in place of another would take, and who would have to go. Raises as a load does."""
        return await self._find_room(ModelLoad(target, is_urgent=True, replaces=replaces))

    # --- what is asked ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def use(
        self, target: Target, serves: Serves | None = None, *, keep_alive: float | None = None
    ) -> AsyncIterator[LiveModel]:
        """The model, loaded where needed, for the time of the block. `keep_alive` counts from its end.

        `serves` says whether the model will do as it is loaded now (default: whatever it is loaded like).
        """
        live = await self.ensure(target, serves)
        with self.hold(live, keep_alive=keep_alive):
            yield live

    @contextmanager
    def hold(self, live: LiveModel, *, keep_alive: float | None = None) -> Iterator[None]:
        """The same for a model that was just ensured."""
        self._timers.stop(live)
        if keep_alive is not None:
            live.keep_alive = keep_alive
        try:
            with live.in_use():
                yield
        finally:
            self._settle(live)

    async def ensure(self, target: Target, serves: Serves | None = None) -> LiveModel:
        """The model, loaded; one that died at once is handed out too, and says so: loading it again and again would
        help nobody. Raises what planning and starting raise, Abandoned when a person decided otherwise meanwhile, or
        EngineStopped when all is over."""
        is_served = serves or (lambda loaded: True)
        while True:
            if self._is_closed:
                raise EngineStopped
            live, load = self._live.get(target.model.id), self._loads.get(target.model.id)
            if load is None:
                if live is not None and live.is_ready and not self._is_awaited(live) and is_served(live.target):
                    return live
                load = self._begin(ModelLoad(target))
            live = await load.wait()
            if (live.is_ready or live.death is not None) and is_served(live.target):
                return live

    async def load(self, target: Target, *, replaces: LiveModel | None = None) -> LiveModel:
        """Load it at once, exactly like this, in place of `replaces`: answers that stand in the way are cut short.

        Raises as `ensure`. What must be refused is refused before anybody is touched. Cancelling this ends the load.
        """
        load = self._loads.get(target.model.id)
        if load is not None and not is_same(load.target, target):
            await self._give_up(load, is_replaced=True)
            load = None
        for other in list(self._loads.values()):
            if other.waits_for_room and other is not load:
                other.abandon(is_replaced=True)
        if load is None:
            load = self._begin(ModelLoad(target, is_urgent=True, replaces=replaces))
        else:
            load.is_urgent, load.replaces = True, replaces
            self._wake()
        try:
            live = await load.wait()
        except asyncio.CancelledError:
            await self._give_up(load, is_replaced=True)
            raise
        if replaces is not None and replaces is not live:
            await self.stop(replaces)
        self._settle(live)
        return live

    async def stop(self, live: LiveModel) -> None:
        """Stop its engine, which gives all its memory back. What it was answering ends with EngineStopped."""
        if live.is_alive:
            await self._tasks.run(self._stop(live))

    async def stop_model(self, model_id: str) -> None:
        """The same by the model's id; a load of it that waits or runs ends, too."""
        if (load := self._loads.get(model_id)) is not None:
            await self._give_up(load, is_replaced=False)
        if (live := self._live.get(model_id)) is not None:
            await self.stop(live)

    async def stop_all(self) -> None:
        await asyncio.gather(*(self.stop_model(each) for each in {*self._loads, *self._live}))

    def keep(self, live: LiveModel, seconds: float) -> None:
        """Let it stay for so long when nobody uses it: 0, not at all; negative, for ever."""
        live.keep_alive = seconds
        self._settle(live)

    async def close(self) -> None:
        self._is_closed = True
        await self.stop_all()
        await self._tasks.close()

    # --- one load --------------------------------------------------------------------------------------------------

    def _begin(self, load: ModelLoad) -> ModelLoad:
        self._loads[load.id] = load
        load.task = self._tasks.start(self._perform(load))
        return load

    async def _perform(self, load: ModelLoad) -> None:
        live: LiveModel | None = None
        try:
            live, room = await self._place(load)
            if room is not None:
                await walk_down(live, room.plan, self._ladder)
        except asyncio.CancelledError:
            if live is not None:
                await live.stop()
            raise
        except GlasshouseError as error:
            self._fail(load, live, error)
        except Exception:  # noqa: BLE001 - the edge: those who wait must hear of it, whatever it is
            _log.exception("Loading failed in an unforeseen way")
            reason = "something went wrong inside Glasshouse; its log says what"
            self._fail(load, live, LoadFailed(load.target.model.name, reason))
        else:
            load.succeed(live)
        finally:
            if self._loads.get(load.id) is load:
                del self._loads[load.id]
            self._awaited.pop(load, None)
            if live is not None:
                self._bringing.pop(live, None)
                if not load.num_waiting:  # else it begins to be idle when the last one who waits is done with it
                    self._settle(live)
            self._wake()

    def _fail(self, load: ModelLoad, live: LiveModel | None, error: GlasshouseError) -> None:
        if live is not None:
            live.fail(str(error))
        load.fail(error)

    async def _place(self, load: ModelLoad) -> tuple[LiveModel, Room | None]:
        """A place in memory for the load, sooner or later: a model to start, with its plan, or one that runs."""
        while True:
            changed = self._room_changed
            async with self._placing:
                if (present := self._present(load)) is not None:
                    return present, None
                room = await self._find_room(load)
                if load.is_urgent or all(self.is_idle(live) or not live.is_alive for live in room.leaving):
                    load.waits_for_room = False
                    return await self._take_place(load, room), room
                self._awaited[load] = room.leaving
            await changed.wait()

    def _present(self, load: ModelLoad) -> LiveModel | None:
        """The model as it is wanted, if it is there and nobody else waits for its room."""
        live = self._live.get(load.id)
        if live is None or not live.is_ready or self._is_awaited(live, but_not_by=load):
            return None
        if not is_same(live.target, load.target):
            return None
        return live

    async def _find_room(self, load: ModelLoad) -> Room:
        must_go = {id(live): live for live in (self._live.get(load.id), load.replaces) if live and live.is_alive}
        others = [live for live in self._live.values() if id(live) not in must_go]
        others.sort(key=lambda live: live.used_at)
        idle = [live for live in others if self.is_idle(live)]
        busy = [live for live in others if not self.is_idle(live)]
        plan = partial(self._planner, load.target)
        return await asyncio.to_thread(find_room, plan, list(must_go.values()), idle, busy)

    async def _take_place(self, load: ModelLoad, room: Room) -> LiveModel:
        for leaving in room.leaving:
            await self._evict(leaving)
        model = load.target.model
        live = LiveModel(load.target, room.plan, self._factory_for(model), on_change=self._on_change, tasks=self._tasks)
        self._live[model.id] = live
        self._bringing[live] = load
        self._on_change(live)
        return live

    async def _evict(self, live: LiveModel) -> None:
        """Under the lock."""
        if (load := self._bringing.get(live)) is not None:
            load.abandon(is_replaced=True)
            if load.task is not None:
                await asyncio.wait({load.task})
        elif live.is_alive:
            await live.stop()

    async def _stop(self, live: LiveModel) -> None:
        async with self._placing:
            await self._evict(live)

    async def _give_up(self, load: ModelLoad, *, is_replaced: bool) -> None:
        load.abandon(is_replaced=is_replaced)
        if load.task is not None:
            await asyncio.wait({load.task})

    # --- idleness --------------------------------------------------------------------------------------------------

    def _is_awaited(self, live: LiveModel, but_not_by: ModelLoad | None = None) -> bool:
        return any(live in leaving for load, leaving in self._awaited.items() if load is not but_not_by)

    def _settle(self, live: LiveModel) -> None:
        """It may be idle now: it goes after a while, or at once when somebody waits for its room."""
        self._timers.stop(live)
        if not self.is_idle(live):
            return
        self._wake()
        seconds = self._keep_alive(live)
        if seconds >= 0 and not self._is_closed:
            self._timers.start(live, seconds)

    async def _stop_if_idle(self, live: LiveModel) -> None:
        async with self._placing:
            if self.is_idle(live):
                await live.stop()

    def _wake(self) -> None:
        """Those who wait for room look again, in the order in which they came."""
        event, self._room_changed = self._room_changed, asyncio.Event()
        event.set()

    def _on_change(self, live: LiveModel) -> None:
        if not live.is_alive:
            self._timers.stop(live)
            if self._live.get(live.id) is live:
                del self._live[live.id]
            self._wake()
        self.changed.emit(live)
