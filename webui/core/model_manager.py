"""The models as the page and the programs see them: which one is the page's, what a name loads, who answers.

Callers never look at the state and then decide: they generate, and the manager decides. The page's model is the one
that a person loaded, or that was loaded when there was none; others that programs name come beside it. Which of them
are in memory is for the pool to say, how an engine works is EngineClient's.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import cast

from webui.config import Settings
from webui.core.adapters import AdapterChoice, find_adapters
from webui.core.alive import AliveModel, Answering, Asked, describe_alive
from webui.core.charging import Charge, charge_nobody
from webui.core.chooser import Chooser
from webui.core.engine import EmbeddingEngineFactory, Engine, EngineFactory, ProcessFactory
from webui.core.engine_pool import EnginePool
from webui.core.exchange import observed
from webui.core.fallback_plans import Ladder, no_ladder
from webui.core.live_model import LiveModel
from webui.core.load_wishes import AskedFor, LoadWishes, serves
from webui.core.model_choice import Choice, ModelNames
from webui.core.model_files import ModelFiles
from webui.core.model_load import Abandoned
from webui.core.model_records import ModelRecords
from webui.core.neighbours import Neighbours
from webui.core.page_model import PageModel, Wanted
from webui.core.planning import STATE_FOLDER, Planner, Target, create_planner
from webui.core.response_cache import ResponseCache
from webui.core.restarts import FIRST_SECONDS
from webui.core.signal import Signal
from webui.core.tasks import OwnedTasks
from webui.core.telemetry.answer_watch import AnswerWatch
from webui.core.telemetry.telemetry import Telemetry
from webui.engine.protocol import CountPrompt, Detokenize, Finding, ListSlots, PromptCount, Render, Tokenize
from webui.errors import EngineStopped
from webui.library.catalog import Catalog
from webui.library.hardware import read_memory
from webui.library.memory_fit import FitPlan
from webui.store.preferences import Preferences
from webui.types import (
    Finished,
    GenerationEvent,
    GenerationRequest,
    KvType,
    LoraAdapter,
    Memory,
    ModelFile,
    ModelStatus,
)

_log = logging.getLogger(__name__)

GUEST_SECONDS = 600.0  #: that a model which is not the page's stays when nobody uses it


class ModelManager:
    """`status` is the page's model, always true; nothing is loaded until somebody asks."""

    def __init__(
        self,
        catalog: Catalog,
        preferences: Preferences,
        settings: Settings,
        *,
        records: ModelRecords,
        engine_factory: EngineFactory,
        embedding_engine_factory: EmbeddingEngineFactory | None = None,
        planner: Planner | None = None,
        ladder: Ladder = no_ladder,
        memory: Callable[[], Memory] = read_memory,
        restart_seconds: float = FIRST_SECONDS,
        guest_seconds: float = GUEST_SECONDS,
        telemetry: Telemetry | None = None,
        response_cache: ResponseCache | None = None,
        charge: Charge = charge_nobody,
    ) -> None:
        self.alive_changed: Signal[None] = Signal()
        self.names = ModelNames(lambda: self._catalog, records)
        self._catalog = catalog
        self._preferences = preferences
        self._settings = settings
        self._records = records
        self._guest_seconds = guest_seconds
        self._memory = memory
        self._telemetry = telemetry or Telemetry()
        self._response_cache = response_cache
        self._charge = charge
        self.wishes = LoadWishes(settings, preferences, lambda: self._catalog)
        self._tasks = OwnedTasks()
        self._chooser = Chooser(self.names, self.wishes, preferences, settings)

        def factory_for(model: ModelFile) -> ProcessFactory:
            embeds = model.kind in {"embedding", "rerank"} and embedding_engine_factory is not None
            return cast("ProcessFactory", embedding_engine_factory if embeds else engine_factory)

        self.pool = EnginePool(
            factory_for, planner or create_planner(settings), ladder=ladder, keep_alive=self._keep_alive
        )
        self._page = PageModel(
            self.pool,
            choose=self._chooser.choose,
            describe=lambda live: self.names.choice(live.target.model),
            restart_seconds=restart_seconds,
        )
        self.changed: Signal[ModelStatus] = self._page.changed
        self.files = ModelFiles(
            lambda: self._catalog,
            self.names,
            records,
            preferences,
            is_alive=lambda model_id: self.pool.get(model_id) is not None or self.pool.is_loading(model_id),
            unload=self.unload,
        )
        self.catalog_changed: Signal[None] = self.files.changed
        self.pool.changed.subscribe(self._on_change)
        records.changed.subscribe(self._on_records)

    # --- what is true ----------------------------------------------------------------------------------------------

    @property
    def status(self) -> ModelStatus:
        return self._page.status

    @property
    def alive(self) -> tuple[AliveModel, ...]:
        """Every model in memory, also those that embed and rank."""
        return tuple(
            describe_alive(live, is_page=live is self._page.live, seconds_left=self.pool.seconds_left(live))
            for live in self.pool.alive
        )

    def memory(self) -> Memory:
        return self._memory()

    async def models(self) -> list[ModelFile]:
        """Every model on this machine, under the names that people gave them."""
        return await self.names.list()

    def use_catalog(self, catalog: Catalog) -> None:
        """Look for models elsewhere from now on; what is loaded stays."""
        self._catalog = catalog
        self.catalog_changed.emit(None)

    async def default(self) -> ModelFile:
        """The model that the next message starts while none is loaded. Raises NoModel, or UnknownModel when the one
        that `--model` names is not there."""
        return (await self._chooser.choose()).choice.model

    async def fit(
        self, name: str, *, ctx: int | None = None, gpu_layers: int | None = None, kv_type: KvType | None = None
    ) -> FitPlan:
        """What loading this model in place of the page's would take. Raises ModelTooBig, or what is wrong with the
        file."""
        wanted = await self._chooser.want(name, AskedFor(ctx, gpu_layers, kv_type))
        return (await self.pool.plan(wanted.target, self._page.live)).plan

    async def target(self, name: str) -> Target:
        """How the model would be loaded if it was named in a request now; also one that embeds or ranks."""
        return await self.wishes.target(await self.names.find(name))

    def neighbours(self) -> Neighbours:
        """Those beside whom a model in place of the page's would be loaded."""
        page = self._page.live
        return Neighbours(
            leaving=tuple(live.footprint for live in self.pool.alive if live is page),
            staying=tuple(live.footprint for live in self.pool.alive if live is not page),
        )

    # --- what is asked ---------------------------------------------------------------------------------------------

    async def load(
        self,
        name: str,
        *,
        ctx: int | None = None,
        gpu_layers: int | None = None,
        kv_type: KvType | None = None,
        keep_alive: float | None = None,
    ) -> ModelStatus:
        """Load a model in place of the page's, and remember the choice.

        A model that is refused beforehand (ModelTooBig, DamagedGguf, ...) leaves the old one untouched; when loading
        fails, the old one is loaded again. Either way the error is raised, and kept in `status.error`. Requests that
        the old model was answering end with EngineStopped. A newer `load` or `unload` ends this one (LoadOvertaken).
        A `ctx` beyond what the model was trained for is refused (ContextTooLarge).
        """
        wanted, remember = await self._chooser.select(name, AskedFor(ctx, gpu_layers, kv_type))
        await self._page.load(wanted, remember)
        if keep_alive is not None and self._page.live is not None:
            self.pool.keep(self._page.live, keep_alive)
        return self.status

    async def load_beside(self, name: str, *, keep_alive: float | None = None) -> None:
        """Load a model for programs, beside what is there; one that embeds or ranks, too. Raises as `load`."""
        choice = await self.names.find(name)
        wanted = Wanted(choice, await self.wishes.target(choice))
        with self.pool.hold(await self._ensure(wanted), keep_alive=keep_alive):
            pass

    async def find_adapters(self, choices: Sequence[AdapterChoice]) -> tuple[LoraAdapter, ...]:
        """The LoRA adapters that a request names, for its `adapters`. Raises UnknownAdapter or InvalidRequest."""
        return await find_adapters(self._catalog, choices)

    async def unload(self, name: str | None = None) -> None:
        """Stop an engine, which gives all its memory back: the page's, or that of the named model. What it was
        answering ends with EngineStopped."""
        model_id = None if name is None else (await self.names.find(name)).model.id
        if model_id is None or (self._page.live is not None and self._page.live.id == model_id):
            await self._page.unload()
        else:
            await self.pool.stop_model(model_id)

    async def unload_all(self) -> None:
        await self._page.unload()
        await self.pool.stop_all()

    async def delete(self, model_id: str) -> None:
        """As `files.delete`."""
        await self.files.delete(model_id)

    async def generate(
        self,
        request: Asked,
        *,
        model: str | None = None,
        stop: asyncio.Event | None = None,
        keep_alive: float | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answer with the named model (None: see `ensure_loaded`), loading it first where needed.

        A request that depends on who answers is a function of that. Setting `stop` ends the answer with
        Finished("cancelled"), which has usage and timings; closing the generator ends it without a word. `keep_alive`:
        seconds that the model stays in memory afterwards, negative for ever.
        """
        with self._telemetry.watch_answer() as watch:
            live, choice = await self._find_engine(model)
            with self.pool.hold(live, keep_alive=choice.insists.keep_alive if keep_alive is None else keep_alive):
                engine = cast("Engine", live.running_engine())
                asked = request if isinstance(request, GenerationRequest) else request(await self._answering(choice))
                watch.begin(live.id, asked)
                with observed(asked, choice.name, engine) as tell_inspector:
                    async with aclosing(self._ask(live, asked, stop, watch)) as events:
                        async for event in events:
                            watch.take(event)
                            tell_inspector(event)
                            if isinstance(event, Finished):
                                self._page.succeeded(live)
                            yield event

    async def count_tokens(self, request: Asked, *, model: str | None = None) -> int:
        """How long the request's prompt is, in tokens of the model that would answer; it is loaded as by `generate`.

        Raises ContextTooLong for one that it would not read, and otherwise as `generate`.
        """
        live, choice = await self._find_engine(model)
        with self.pool.hold(live):
            asked = request if isinstance(request, GenerationRequest) else request(await self._answering(choice))
            found = await cast("Engine", live.running_engine()).probe(CountPrompt(request=asked))
            return cast("PromptCount", found).num_tokens

    async def probe(self, asked: Tokenize | Detokenize | Render | ListSlots, *, model: str | None = None) -> Finding:
        """What the model's tokenizer or template makes of something; it is loaded as by `generate`."""
        live, _ = await self._find_engine(model)
        with self.pool.hold(live):
            return await cast("Engine", live.running_engine()).probe(asked)

    async def generate_aside(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Answer only if the page's model is loaded and stays so: nothing is loaded for this, and no load waits."""
        if (engine := self._idle_engine()) is not None:
            async with aclosing(engine.generate(request)) as events:
                async for event in events:
                    yield event

    async def prefill(self, request: Asked, stop: asyncio.Event | None = None) -> AsyncGenerator[GenerationEvent, None]:
        """Read a draft ahead, under the same condition. Ends as `generate` does."""
        live = self._page.live
        if (engine := self._idle_engine()) is not None and live is not None:
            choice = self._page_choice(live)
            asked = request if isinstance(request, GenerationRequest) else request(await self._answering(choice))
            async with aclosing(engine.prefill(asked, stop=stop)) as events:
                async for event in events:
                    yield event

    async def forget(self, conversation: str) -> None:
        """Drop what is kept of a deleted conversation: in the engines' memory and on disk."""
        for live in self.pool.alive:
            if live.is_ready and live.target.model.kind == "chat":
                cast("Engine", live.running_engine()).forget(conversation)
        folder = self._settings.data_dir / STATE_FOLDER / conversation
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def ensure_loaded(self, name: str | None = None) -> Engine:
        """The running engine of the named model; for None of whatever is the page's, else of the model that was its
        last, that `--model` names, that was chosen in the page, or that is the only one (else NoModel).

        Callers share one load; one that is cancelled leaves it to the others. A load for the sake of a name comes
        beside the others, or waits until there is room: only a person's choice (`load`) cuts answers short.
        """
        live, _ = await self._find_engine(name)
        return cast("Engine", live.running_engine())

    async def close(self) -> None:
        await self._page.close()
        await self.pool.close()
        await self._tasks.close()

    # --- who answers -----------------------------------------------------------------------------------------------

    def _idle_engine(self) -> Engine | None:
        live = self._page.live
        return cast("Engine", live.engine) if live is not None and self._page.is_settled else None

    async def _find_engine(self, name: str | None) -> tuple[LiveModel, Choice]:
        if name is None:
            live = await self._page.ensure()
            return live, self._page_choice(live)
        wanted = await self._chooser.want(name)
        return await self._ensure(wanted), wanted.choice

    def _page_choice(self, live: LiveModel) -> Choice:
        """What was chosen for the page, as it is kept by now."""
        chosen = self._page.choice.preset if self._page.choice is not None else None
        preset = self._records.preset(chosen.name) if chosen is not None else None
        return self.names.choice(live.status.model or live.target.model, preset)

    async def _ensure(self, wanted: Wanted) -> LiveModel:
        try:
            return await self.pool.ensure(wanted.target, serves(wanted.choice, wanted.target))
        except Abandoned as error:
            raise EngineStopped from error

    def _ask(
        self, live: LiveModel, asked: GenerationRequest, stop: asyncio.Event | None, watch: AnswerWatch
    ) -> AsyncGenerator[GenerationEvent, None]:
        """What the engine says, or what it said to the same request before."""
        engine, info = cast("Engine", live.running_engine()), live.status.info
        ask = partial(engine.generate, asked, stop=stop, on_end=partial(self._charge, asked.owner))
        if self._response_cache is None or info is None:
            return ask()
        return self._response_cache.answer(asked, live.target.model.path, info.options, ask, watch.note_cache)

    async def _answering(self, choice: Choice) -> Answering:
        defaults = choice.defaults
        named = [AdapterChoice(each.name, each.scale) for each in defaults.adapters]
        return Answering(choice.model, choice.name, defaults, await self.find_adapters(named))

    # --- what becomes of models ------------------------------------------------------------------------------------

    def _on_records(self, _: None) -> None:
        self._tasks.start(self._retitle())

    async def _retitle(self) -> None:
        """Those in memory are called as they are called now."""
        named = {model.id: model for model in await self.models()}
        for live in self.pool.alive:
            if live.id in named and live.status.model is not None:
                live.note(model=named[live.id])

    def _keep_alive(self, live: LiveModel) -> float:
        if live.keep_alive is not None:
            return live.keep_alive
        is_page = live is self._page.live
        choice = self._page_choice(live) if is_page else self.names.choice(live.target.model)
        return self.wishes.keep_alive(choice, is_page=is_page, guest_seconds=self._guest_seconds)

    def _on_change(self, live: LiveModel) -> None:
        if live.is_ready and live is self._page.live:
            self._chooser.note_first(live.id)
        if live.is_ready and not live.is_noted:
            live.is_noted = True
            self._tasks.start(self._records.note_use(live.target.model))
        self.alive_changed.emit(None)
