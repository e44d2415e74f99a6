"""The models that embed and rank, beside the chat model: which one a request gets, in an engine of its own kind.

There are at most two engines, one for each kind, since a search needs both in turn; each starts with the first request
and goes when it was idle for some minutes. It does not know how an engine lives (that is OnDemandEngine) nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable

from webui.config import Settings
from webui.core.embedding_engine import EmbeddingEngineFactory, OnDemandEngine
from webui.errors import InvalidRequest, LoadFailed, NoModelOfKind
from webui.library.catalog import Catalog
from webui.library.embedding_fit import plan_embedding_fit
from webui.library.gguf import read_header
from webui.library.hardware import count_physical_cores, read_memory
from webui.library.memory_fit import FitPlan
from webui.types import EmbeddingRequest, Embeddings, EngineLoad, ModelFile, ModelKind, Ranking, RerankRequest, Value

IDLE_SECONDS = 600.0

_PURPOSES: dict[ModelKind, str] = {"embedding": "embeddings", "rerank": "reranking"}

EmbeddingPlanner = Callable[[ModelFile], FitPlan]


class LoadedModel(Value, frozen=True):
    """One that is in memory now."""

    model: ModelFile
    memory_bytes: int  #: resident memory of its process
    load: EngineLoad = EngineLoad()


class EmbeddingModels:
    """Nothing is loaded until somebody asks."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        settings: Settings,
        *,
        engine_factory: EmbeddingEngineFactory,
        planner: EmbeddingPlanner | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """`catalog` gives the present one: the folders to look in may change."""
        self._catalog = catalog
        plan = planner or create_embedding_planner(settings)
        self._embedder = OnDemandEngine(engine_factory, plan, idle_seconds)
        self._ranker = OnDemandEngine(engine_factory, plan, idle_seconds)

    @property
    def loaded(self) -> list[LoadedModel]:
        return [
            LoadedModel(model=engine.model, memory_bytes=engine.memory_bytes, load=engine.load)
            for engine in (self._embedder, self._ranker)
            if engine.model is not None
        ]

    async def embed(self, request: EmbeddingRequest, *, model: str | None = None) -> tuple[ModelFile, Embeddings]:
        """The vectors, and the model that made them: the named one, else the one that is loaded, else the first.

        Raises UnknownModel, NoModelOfKind, InvalidRequest for a model of another kind, what loading it raises, and what
        the engine refuses with (InputTooLong, EngineBusy, ...), EngineDied or EngineStopped.
        """
        chosen = await self._choose("embedding", model, self._embedder.model)
        async with self._embedder.use(chosen) as engine:
            return chosen, await engine.embed(request)

    async def rerank(self, request: RerankRequest, *, model: str | None = None) -> tuple[ModelFile, Ranking]:
        """The documents' scores, and the model that gave them; as `embed`."""
        chosen = await self._choose("rerank", model, self._ranker.model)
        async with self._ranker.use(chosen) as engine:
            return chosen, await engine.rerank(request)

    async def unload(self) -> None:
        """Give the memory of both back, once what they do now is done."""
        for engine in (self._embedder, self._ranker):
            await engine.unload()

    def drop_missing(self) -> None:
        """Unload what was deleted, so that its bytes on the disk are free, too."""
        for engine in (self._embedder, self._ranker):
            if engine.model is not None and not engine.model.path.is_file():
                engine.unload_soon()

    async def close(self) -> None:
        for engine in (self._embedder, self._ranker):
            await engine.close()

    async def _choose(self, kind: ModelKind, name: str | None, loaded: ModelFile | None) -> ModelFile:
        if name is None:
            models = [each for each in await self._catalog().scan() if each.kind == kind and each.problem is None]
            if not models:
                raise NoModelOfKind(kind)
            return loaded if loaded in models and loaded is not None else models[0]
        model = await self._catalog().find(name)
        if model.problem is not None:
            raise LoadFailed(model.name, model.problem)
        if model.kind != kind:
            raise InvalidRequest(f"“{model.name}” is not made for {_PURPOSES[kind]}. Name another model.")
        return model


def create_embedding_planner(settings: Settings) -> EmbeddingPlanner:
    """A planner for this machine. It reads the file's header, so it belongs into a thread.

    It raises what `read_header` and `plan_embedding_fit` raise.
    """

    def plan(model: ModelFile) -> FitPlan:
        return plan_embedding_fit(
            read_header(model.path),
            model.name,
            read_memory(),
            threads=settings.threads or count_physical_cores(),
            gpu_layers=settings.gpu_layers,
        )

    return plan
