"""The models that embed and rank, beside the chat models: which one a request gets.

Each starts with the first request for it and goes when it was idle for some minutes. It does not know how an engine
lives (that is the pool's) nor who asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from webui.core.charging import Charge, charge_nobody, tokens_read
from webui.core.engine import EmbeddingEngine
from webui.core.engine_pool import EnginePool
from webui.core.live_model import LiveModel
from webui.core.load_wishes import LoadWishes
from webui.core.model_choice import Choice, ModelNames
from webui.core.model_load import Abandoned
from webui.core.telemetry.telemetry import Telemetry
from webui.errors import EngineStopped, InvalidRequest, LoadFailed, NoModelOfKind
from webui.types import EmbeddingRequest, Embeddings, EngineLoad, ModelFile, ModelKind, Ranking, RerankRequest, Value

_PURPOSES: dict[ModelKind, str] = {"embedding": "embeddings", "rerank": "reranking"}


class LoadedModel(Value, frozen=True):
    """One that is in memory now."""

    model: ModelFile
    memory_bytes: int  #: resident memory of its process
    load: EngineLoad = EngineLoad()


class EmbeddingModels:
    """Nothing is loaded until somebody asks."""

    def __init__(
        self,
        names: ModelNames,
        wishes: LoadWishes,
        pool: EnginePool,
        telemetry: Telemetry | None = None,
        *,
        charge: Charge = charge_nobody,
    ) -> None:
        self._telemetry = telemetry or Telemetry()
        self._charge = charge
        self._names = names
        self._wishes = wishes
        self._pool = pool

    @property
    def loaded(self) -> list[LoadedModel]:
        return [
            LoadedModel(model=live.target.model, memory_bytes=live.status.memory_bytes, load=live.status.load)
            for live in self._pool.alive
            if live.is_ready and live.target.model.kind in _PURPOSES
        ]

    async def embed(
        self, request: EmbeddingRequest, *, model: str | None = None, keep_alive: float | None = None
    ) -> tuple[ModelFile, Embeddings]:
        """The vectors, and the model that made them: the named one, else the one that is loaded, else the first.

        Raises UnknownModel, NoModelOfKind, InvalidRequest for a model of another kind, what loading it raises, and what
        the engine refuses with (InputTooLong, EngineBusy, ...), EngineDied or EngineStopped.
        """
        with self._telemetry.watch_answer() as watch:
            choice = await self._choose("embedding", model)
            async with self._use(choice, keep_alive) as engine:
                watch.begin_vectors(choice.model.id, "embeddings")
                embeddings = await engine.embed(request)
            watch.count(embeddings.num_tokens)
            self._charge(request.owner, tokens_read(embeddings.num_tokens))
            return choice.model, embeddings

    async def rerank(
        self, request: RerankRequest, *, model: str | None = None, keep_alive: float | None = None
    ) -> tuple[ModelFile, Ranking]:
        """The documents' scores, and the model that gave them; as `embed`."""
        with self._telemetry.watch_answer() as watch:
            choice = await self._choose("rerank", model)
            async with self._use(choice, keep_alive) as engine:
                watch.begin_vectors(choice.model.id, "rerank")
                ranking = await engine.rerank(request)
            watch.count(ranking.num_tokens)
            self._charge(request.owner, tokens_read(ranking.num_tokens))
            return choice.model, ranking

    def drop_missing(self) -> None:
        """Unload what was deleted, so that its bytes on the disk are free, too."""
        for live in self._pool.alive:
            if live.target.model.kind in _PURPOSES and not live.target.model.path.is_file():
                self._pool.keep(live, 0.0)

    @asynccontextmanager
    async def _use(self, choice: Choice, keep_alive: float | None) -> AsyncIterator[EmbeddingEngine]:
        try:
            live = await self._pool.ensure(await self._wishes.target(choice))
        except Abandoned as error:
            raise EngineStopped from error
        with self._pool.hold(live, keep_alive=keep_alive):
            yield cast("EmbeddingEngine", live.running_engine())

    async def _choose(self, kind: ModelKind, name: str | None) -> Choice:
        if name is None:
            return await self._choose_any(kind)
        choice = await self._names.find(name)
        model = choice.model
        if model.problem is not None:
            raise LoadFailed(model.name, model.problem)
        if model.kind != kind:
            raise InvalidRequest(f"“{model.name}” is not made for {_PURPOSES[kind]}. Name another model.")
        return choice

    async def _choose_any(self, kind: ModelKind) -> Choice:
        """The one that was used last of those that are loaded, else the first."""
        models = [each for each in await self._names.list() if each.kind == kind and each.problem is None]
        if not models:
            raise NoModelOfKind(kind)

        def last_used(model: ModelFile) -> float:
            live: LiveModel | None = self._pool.get(model.id)
            return live.used_at if live is not None else 0.0

        return self._names.choice(max(models, key=last_used))
