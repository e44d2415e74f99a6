"""One engine that runs while somebody needs it: started for a request, swapped for another model, stopped when idle.

A lock guards its life cycle only; requests run side by side. Who needs another model waits until the running requests
have ended. It does not know which model is wanted, nor what is asked of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from webui.core.tasks import OwnedTasks
from webui.errors import EngineDied, EngineStopped
from webui.library.memory_fit import FitPlan
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    ModelFile,
    Ranking,
    RerankRequest,
)

_log = logging.getLogger(__name__)


class EmbeddingEngine(Protocol):
    """One engine process with an embedding or rerank model, used once: start, any number of requests, stop."""

    @property
    def memory_bytes(self) -> int: ...

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo: ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings: ...

    async def rerank(self, request: RerankRequest) -> Ranking: ...

    async def stop(self) -> None: ...


class EmbeddingEngineFactory(Protocol):
    """Makes an engine that is not started yet; `on_exit` gets None when the exit was asked for."""

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> EmbeddingEngine: ...


def _ignore(_value: object) -> None:
    """Nobody watches how it loads."""


class OnDemandEngine:
    """`async with engine.use(model) as running:`"""

    def __init__(
        self, create_engine: EmbeddingEngineFactory, plan: Callable[[ModelFile], FitPlan], idle_seconds: float
    ) -> None:
        """`plan` reads the model's header, so it is called in a thread."""
        self._create_engine = create_engine
        self._plan = plan
        self._idle_seconds = idle_seconds
        self._tasks = OwnedTasks()
        self._life_cycle = asyncio.Lock()
        self._engine: EmbeddingEngine | None = None
        self._model: ModelFile | None = None
        self._load = EngineLoad()
        self._number = 0  # the exit of an engine that is not the newest one is not listened to
        self._num_users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def model(self) -> ModelFile | None:
        """The model that is loaded."""
        return self._model

    @property
    def memory_bytes(self) -> int:
        return self._engine.memory_bytes if self._engine is not None else 0

    @property
    def load(self) -> EngineLoad:
        """How busy it is, and what it has done."""
        return self._load

    @asynccontextmanager
    async def use(self, model: ModelFile) -> AsyncIterator[EmbeddingEngine]:
        """The running engine of `model`, started first where needed. Raises what planning and starting raise."""
        async with self._life_cycle:
            engine = await self._ensure_loaded(model)
            self._num_users += 1
            self._unused.clear()
        try:
            yield engine
        finally:
            self._num_users -= 1
            if not self._num_users:
                self._unused.set()
                self._start_timer()

    async def unload(self) -> None:
        """Stop the engine once nobody uses it."""
        async with self._life_cycle:
            await self._unused.wait()
            await self._tasks.finish(self._stop())

    def unload_soon(self) -> None:
        """Like `unload`, for those who do not wait."""
        self._tasks.start(self.unload())

    async def close(self) -> None:
        """Stop the engine at once; open requests end with EngineStopped."""
        self._is_closed = True
        if self._engine is not None:
            await self._engine.stop()
        async with self._life_cycle:
            await self._stop()
        await self._tasks.close()

    # --- under the lock --------------------------------------------------------------------------------------------

    async def _ensure_loaded(self, model: ModelFile) -> EmbeddingEngine:
        self._stop_timer()
        if self._engine is not None and self._model == model:
            return self._engine
        await self._unused.wait()
        if self._is_closed:
            raise EngineStopped
        return await self._tasks.finish(self._swap(model))  # one who leaves meanwhile leaves a whole engine

    async def _swap(self, model: ModelFile) -> EmbeddingEngine:
        await self._stop()
        plan = await asyncio.to_thread(self._plan, model)
        self._number += 1
        engine = self._create_engine(
            on_load_progress=_ignore,
            on_engine_load=partial(self._on_load, self._number),
            on_exit=partial(self._on_exit, self._number),
        )
        self._engine, self._model, self._load = engine, model, EngineLoad()
        try:
            await engine.start(model, plan.options)
        except BaseException:
            self._engine = self._model = None
            raise
        if not self._num_users:
            self._start_timer()
        return engine  # one that died at once is handed out too, and says so

    async def _stop(self) -> None:
        self._stop_timer()
        engine, self._engine, self._model = self._engine, None, None
        self._number += 1
        if engine is not None:
            await engine.stop()

    # --- what it says, and ends that nobody asked for --------------------------------------------------------------

    def _on_load(self, number: int, load: EngineLoad) -> None:
        if number == self._number:
            self._load = load

    def _on_exit(self, number: int, error: EngineDied | None) -> None:
        if number != self._number or error is None:
            return
        _log.error("The engine of %s died: %s", self._model.name if self._model else "a model", error)
        engine, self._engine, self._model = self._engine, None, None
        if engine is not None:
            self._tasks.start(engine.stop())  # its process is gone; this frees what stood around it

    def _start_timer(self) -> None:
        self._stop_timer()
        if self._engine is not None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._idle_seconds, lambda: self._tasks.start(self._stop_if_idle()))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _stop_if_idle(self) -> None:
        async with self._life_cycle:
            if not self._num_users:
                await self._stop()
