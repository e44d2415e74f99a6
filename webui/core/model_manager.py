"""The one model that is loaded: who starts, swaps and stops its engine, and what is true of it right now.

A lock guards the life cycle only, so there are never two engines at once; generations run side by side without it.
Callers never look at the state and then decide: they generate, and `ensure_loaded` decides. It does not know how an
engine works (that is EngineClient) nor who asks.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from webui.config import Settings
from webui.core.adapters import AdapterChoice, find_adapters
from webui.core.engine import Engine, EngineFactory
from webui.core.engine_supervisor import EngineSupervisor
from webui.core.model_load import Abandoned, ModelLoad
from webui.core.neighbours import Neighbours
from webui.core.planning import STATE_FOLDER, Planner, Target, choose_default, create_planner
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.errors import ContextTooLarge, EngineStopped, GlasshouseError, LoadFailed, LoadOvertaken, UnknownModel
from webui.library.catalog import Catalog
from webui.library.hardware import read_memory
from webui.library.memory_fit import FitPlan
from webui.store.preferences import PreferenceChanges, Preferences
from webui.types import (
    GenerationEvent,
    GenerationRequest,
    LoraAdapter,
    Memory,
    ModelFile,
    ModelStatus,
)

_log = logging.getLogger(__name__)


class ModelManager:
    """`status` is always true and `changed` says when it becomes another one; nothing is loaded until somebody asks."""

    def __init__(
        self,
        catalog: Catalog,
        preferences: Preferences,
        settings: Settings,
        *,
        engine_factory: EngineFactory,
        planner: Planner | None = None,
    ) -> None:
        self._supervisor = EngineSupervisor(engine_factory)
        self.changed: Signal[ModelStatus] = self._supervisor.changed
        self.catalog_changed: Signal[None] = Signal()
        self._catalog = catalog
        self._preferences = preferences
        self._settings = settings
        self._plan = planner or create_planner(settings)
        self._tasks = OwnedTasks()
        self._life_cycle = asyncio.Lock()
        self._load: ModelLoad | None = None  # the load under way
        self._former: Target | None = None  # what a failed load goes back to
        self._last_loaded: Target | None = None  # what the next message starts, after a crash or an unload
        self._num_generating = 0

    # --- what is true ----------------------------------------------------------------------------------------------

    @property
    def status(self) -> ModelStatus:
        return self._supervisor.status

    def memory(self) -> Memory:
        return read_memory()

    async def models(self) -> list[ModelFile]:
        return await self._catalog.scan()

    def use_catalog(self, catalog: Catalog) -> None:
        """Look for models elsewhere from now on; what is loaded stays."""
        self._catalog = catalog
        self.catalog_changed.emit(None)

    async def default(self) -> ModelFile:
        """The model that the next message starts while none is loaded. Raises NoModel, or UnknownModel when the one
        that `--model` names is not there."""
        return (await self._choose()).model

    async def fit(self, name: str, *, ctx: int | None = None, gpu_layers: int | None = None) -> FitPlan:
        """What loading this model in place of the running one would take. Raises ModelTooBig, or what is wrong with
        the file."""
        target = self._target(await self._catalog.find(name), ctx, gpu_layers)
        return await asyncio.to_thread(self._plan, target, self._neighbours())

    # --- what is asked ---------------------------------------------------------------------------------------------

    async def load(self, name: str, *, ctx: int | None = None, gpu_layers: int | None = None) -> ModelStatus:
        """Load a model in place of the one that is loaded, and remember the choice.

        A model that is refused beforehand (ModelTooBig, DamagedGguf, ...) leaves the old one untouched; when loading
        fails, the old one is loaded again. Either way the error is raised, and kept in `status.error`. Requests that
        the old model was answering end with EngineStopped. A newer `load` or `unload` ends this one (LoadOvertaken).
        A `ctx` beyond what the model was trained for is refused (ContextTooLarge).
        """
        model = await self._catalog.find(name)
        if ctx is not None and 0 < model.context_train < ctx:
            raise ContextTooLarge(model.name, ctx, model.context_train)
        target = self._target(model, ctx, gpu_layers)
        choice = PreferenceChanges(model_id=target.model.id)
        if ctx is not None:
            choice["ctx"] = ctx
        if gpu_layers is not None:
            choice["gpu_layers"] = gpu_layers
        if self._load is None and self._supervisor.target == target:
            self._supervisor.note_error(None)
            await self._preferences.set(**choice)
            return self.status
        load = self._load
        if load is None or load.target != target:
            self._abandon_load(is_replaced=True)
            load = self._begin(target)
        load.choice = choice
        load.may_start.set()
        try:
            await load.wait()
        except Abandoned as error:
            raise LoadOvertaken(target.model.name) from error
        return self.status

    async def find_adapters(self, choices: Sequence[AdapterChoice]) -> tuple[LoraAdapter, ...]:
        """The LoRA adapters that a request names, for its `adapters`. Raises UnknownAdapter or InvalidRequest."""
        return await find_adapters(self._catalog, choices)

    async def unload(self) -> None:
        """Stop the engine, which gives all its memory back. What it was answering ends with EngineStopped."""
        self._abandon_load(is_replaced=False)
        await self._tasks.run(self._unload())

    async def delete(self, model_id: str) -> None:
        """Delete a model's file, unloading it first."""
        model = await self._catalog.find(model_id)
        under_way = self._load.target.model.id if self._load else None
        loaded = self.status.model.id if self.status.model else None
        if model.can_delete and model.id in {under_way, loaded}:
            await self.unload()
        await self._catalog.delete(model.id)
        if self._preferences.get().model_id == model.id:
            await self._preferences.set(model_id=None)
        self.catalog_changed.emit(None)

    async def generate(
        self,
        request: GenerationRequest,
        *,
        model: str | None = None,
        stop: asyncio.Event | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answer with the named model (None: see `ensure_loaded`), loading it first where needed.

        Setting `stop` ends the answer with Finished("cancelled"), which has usage and timings; closing the generator
        ends it without a word.
        """
        engine = await self.ensure_loaded(model)
        self._num_generating += 1
        try:
            events = engine.generate(request, stop=stop)
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            self._num_generating -= 1
            if not self._num_generating and self._load is not None:
                self._load.may_start.set()

    async def generate_aside(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Answer only if a model is loaded and stays so: nothing is loaded for this, and no load waits for it."""
        if (engine := self._idle_engine()) is not None:
            async with aclosing(engine.generate(request)) as events:
                async for event in events:
                    yield event

    async def prefill(
        self, request: GenerationRequest, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Read a draft ahead, under the same condition. Ends as `generate` does."""
        if (engine := self._idle_engine()) is not None:
            async with aclosing(engine.prefill(request, stop=stop)) as events:
                async for event in events:
                    yield event

    async def forget(self, conversation: str) -> None:
        """Drop what is kept of a deleted conversation: in the engine's memory and on disk."""
        if (engine := self._supervisor.engine) is not None and self._supervisor.is_ready:
            engine.forget(conversation)
        folder = self._settings.data_dir / STATE_FOLDER / conversation
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _idle_engine(self) -> Engine | None:
        """The engine that is loaded, unless another one is about to take its place."""
        return self._supervisor.engine if self._supervisor.is_ready and self._load is None else None

    async def ensure_loaded(self, name: str | None = None) -> Engine:
        """The running engine of the named model; for None of whatever is loaded or loading, else of the model that
        was loaded last, that `--model` names, that was chosen in the page, or that is the only one (else NoModel).

        Callers share one load; one that is cancelled leaves it to the others. A load for the sake of a name waits
        until the running answers have ended: only a person's choice (`load`) cuts them short.
        """
        wanted = None if name is None else await self._find_usable(name)
        while True:
            default: Target | None = None
            if wanted is None and self._load is None and not self._supervisor.is_ready:
                default = await self._choose()
            engine, load = self._supervisor.engine, self._load
            if load is None:
                if engine is not None and self._is_loaded(wanted):
                    return engine
                target = default if wanted is None else self._target(wanted)
                if target is None:
                    continue  # what was there a moment ago is gone
                load = self._begin(target)
            try:
                engine = await load.wait()
            except Abandoned as error:
                if wanted is None and error.is_replaced:
                    continue
                raise EngineStopped from error
            except GlasshouseError:
                if wanted is None and self._supervisor.is_ready:
                    continue  # somebody else's choice came to nothing, and what ran before runs
                if wanted is None or wanted.id == load.target.model.id:
                    raise
                continue
            if wanted is not None and wanted.id != load.target.model.id:
                continue
            # One that died at once is handed out too, and says so: loading it again and again would help nobody.
            if engine is self._supervisor.engine or self.status.state == "failed":
                return engine

    async def close(self) -> None:
        await self.unload()
        await self._tasks.close()
        await self._supervisor.close()

    # --- one load --------------------------------------------------------------------------------------------------

    async def _find_usable(self, name: str) -> ModelFile:
        """What is wrong with a file is said at once, not when the running answers have ended."""
        model = await self._catalog.find(name)
        if model.problem is not None or not model.is_chat:
            await asyncio.to_thread(self._plan, self._target(model), self._neighbours())
        return model

    def _neighbours(self) -> Neighbours:
        running = self._supervisor.footprint
        return Neighbours(leaving=(running,) if running is not None else ())

    def _is_loaded(self, wanted: ModelFile | None) -> bool:
        loaded = self._supervisor.target
        return loaded is not None and (wanted is None or wanted.id == loaded.model.id)

    def _target(self, model: ModelFile, ctx: int | None = None, gpu_layers: int | None = None) -> Target:
        """Fill in what was not asked for: as the flags say, else as was chosen in the page."""
        chosen = self._preferences.get()
        if ctx is None:
            ctx = self._settings.ctx if self._settings.ctx is not None else chosen.ctx
        if gpu_layers is None:
            gpu_layers = self._settings.gpu_layers if self._settings.gpu_layers is not None else chosen.gpu_layers
        return Target(model, ctx, gpu_layers)

    async def _choose(self) -> Target:
        if self._last_loaded is not None and self._last_loaded.model.path.is_file():
            return self._last_loaded
        if self._settings.model is not None:
            return self._target(await self._catalog.find(self._settings.model))
        chosen = self._preferences.get().model_id
        if chosen is not None:
            try:
                return self._target(await self._catalog.find(chosen))
            except UnknownModel:
                _log.warning("The chosen model is not there any more")
        return self._target(choose_default(await self._catalog.scan()))

    def _begin(self, target: Target) -> ModelLoad:
        load = self._load = ModelLoad(target)
        if not self._num_generating:
            load.may_start.set()
        load.task = self._tasks.start(self._perform(load))
        return load

    def _abandon_load(self, *, is_replaced: bool) -> None:
        if self._load is not None:
            self._load.abandon(is_replaced=is_replaced)
            self._load = None

    async def _perform(self, load: ModelLoad) -> None:
        try:
            await load.may_start.wait()
            async with self._life_cycle:
                engine = await self._swap(load.target)
            if load.choice is not None:
                await self._preferences.set(**load.choice)
        except GlasshouseError as error:
            load.fail(error)
        except Exception:  # noqa: BLE001 - the edge: those who wait must hear of it, whatever it is
            _log.exception("Loading failed in an unforeseen way")
            failure = LoadFailed(load.target.model.name, "something went wrong inside Glasshouse; its log says what")
            self._supervisor.note_error(str(failure))
            load.fail(failure)
        else:
            load.succeed(engine)
        finally:
            if self._load is load:
                self._load = None

    async def _swap(self, target: Target) -> Engine:
        """Stop what runs, start the target; when that fails, start again what ran. Under the lock."""
        try:
            plan = await asyncio.to_thread(self._plan, target, self._neighbours())
        except GlasshouseError as error:
            self._supervisor.note_error(str(error))
            raise
        self._former = self._supervisor.target or self._former
        await self._supervisor.stop()
        try:
            engine = await self._supervisor.start(target, plan)
        except GlasshouseError as error:
            former, self._former = self._former, None
            if former is not None and former != target:
                await self._restore(former, str(error))
            raise
        self._former = None
        self._last_loaded = target
        return engine

    async def _restore(self, former: Target, reason: str) -> None:
        _log.warning("Loading the former model again")
        try:
            plan = await asyncio.to_thread(self._plan, former, Neighbours())
            await self._supervisor.start(former, plan)
        except GlasshouseError:
            _log.exception("The former model could not be loaded again")
        else:
            self._supervisor.note_error(reason)

    async def _unload(self) -> None:
        async with self._life_cycle:
            self._former = None
            await self._supervisor.stop()
