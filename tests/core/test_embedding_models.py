"""Which embedding model a request gets, and when its engine starts and goes; the engines are stand-ins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from tests.core.fake_engine import PLAN, FakeCatalog, model_file
from tests.core.fake_engine import FakeEngines as ChatEngines
from tests.core.waiting import until
from webui.config import Settings
from webui.core.embedding_models import EmbeddingModels
from webui.core.model_manager import ModelManager
from webui.core.model_records import ModelRecords
from webui.core.neighbours import Neighbours
from webui.core.planning import Target
from webui.errors import (
    EngineDied,
    EngineStopped,
    InvalidRequest,
    LoadFailed,
    ModelTooBig,
    NoModelOfKind,
    OutOfMemory,
    UnknownModel,
)
from webui.library.memory_fit import FitPlan
from webui.store.preferences import Preferences
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineOptions,
    ModelFile,
    ModelKind,
    Ranking,
    RerankRequest,
)

REQUEST = EmbeddingRequest(inputs=("red",))
QUESTION = RerankRequest(query="red", documents=("blue",))
ANSWER = Embeddings(vectors=b"\0\0\0\0", dimensions=1, num_tokens=3)


def of_kind(name: str, kind: ModelKind | None, **changes: Any) -> ModelFile:
    return msgspec.structs.replace(model_file(name), kind=kind, is_chat=kind == "chat", **changes)


NewWorld = Callable[..., "World"]


class FakeEngine:
    """Answers while the test lets it."""

    memory_bytes = 42
    pid = None

    def __init__(self, engines: FakeEngines, on_exit: Callable[[EngineDied | None], None]) -> None:
        self.model: ModelFile | None = None
        self.is_running = False
        self.end: Exception | None = None
        self.ended = asyncio.Event()
        self._engines = engines
        self._on_exit = on_exit

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo:
        self.model, self.is_running = model, True
        await self._engines.may_load.wait()
        if failure := self._engines.failures.pop(model.id, None):
            self.is_running = False
            raise failure
        return EngineInfo(
            description="", num_parameters=1, context_train=1, options=options, device="CPU", has_chat_template=False
        )

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        await self._answer()
        return ANSWER

    async def rerank(self, request: RerankRequest) -> Ranking:
        await self._answer()
        return Ranking(scores=(0.5,), num_tokens=3)

    async def stop(self) -> None:
        self._end(EngineStopped())

    def die(self) -> None:
        self._end(EngineDied("it was killed"))
        self._on_exit(EngineDied("it was killed"))

    async def _answer(self) -> None:
        if self.end is None:
            answering = asyncio.create_task(self._engines.may_answer.wait())
            ending = asyncio.create_task(self.ended.wait())
            await asyncio.wait([answering, ending], return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            ending.cancel()
        if self.end is not None:
            raise self.end

    def _end(self, error: Exception) -> None:
        self.end, self.is_running = self.end or error, False
        self.ended.set()


class FakeEngines:
    """The factory, and what it made."""

    def __init__(self) -> None:
        self.made: list[FakeEngine] = []
        self.failures: dict[str, Exception] = {}
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def __call__(self, *, on_exit: Callable[[EngineDied | None], None], **_others: object) -> FakeEngine:
        self.made.append(FakeEngine(self, on_exit))
        return self.made[-1]

    @property
    def started(self) -> list[str]:
        return [engine.model.id for engine in self.made if engine.model]

    @property
    def running(self) -> list[str]:
        return [engine.model.id for engine in self.made if engine.model and engine.is_running]


class World:
    """Embedding models over a catalog and engines that a test arranges."""

    def __init__(
        self, settings: Settings, preferences: Preferences, records: ModelRecords, guest_seconds: float = 600
    ) -> None:
        self.engines = FakeEngines()
        self.catalog = FakeCatalog(
            of_kind("chatty", "chat"),
            of_kind("bge", "embedding"),
            of_kind("minilm", "embedding"),
            of_kind("judge", "rerank"),
        )
        self.most_at_once = 9
        self.manager = ModelManager(
            self.catalog,
            preferences,
            settings,
            records=records,
            engine_factory=ChatEngines(),
            embedding_engine_factory=self.engines,
            planner=self._plan,
            guest_seconds=guest_seconds,
        )
        self.models = EmbeddingModels(self.manager.names, self.manager.wishes, self.manager.pool)

    def _plan(self, target: Target, neighbours: Neighbours) -> FitPlan:
        if len(neighbours.staying) >= self.most_at_once:
            raise ModelTooBig(target.model.name, 2 << 30, 1 << 30)
        return PLAN

    async def embed(self, model: str | None = None) -> str:
        """The id of the model that answered."""
        chosen, answer = await self.models.embed(REQUEST, model=model)
        assert answer == ANSWER
        return chosen.id


@pytest.fixture
async def new_world(settings: Settings, preferences: Preferences, records: ModelRecords) -> AsyncIterator[NewWorld]:
    made: list[World] = []

    def create(**options: float) -> World:
        made.append(World(settings, preferences, records, **options))
        return made[-1]

    yield create
    for world in made:
        await world.manager.close()


@pytest.fixture
def world(new_world: NewWorld) -> World:
    return new_world()


# --- which model -----------------------------------------------------------------------------------------------------


async def test_the_first_one_is_taken_then_the_one_that_is_loaded(world: World) -> None:
    assert await world.embed() == "bge"
    assert await world.embed("minilm") == "minilm"
    assert await world.embed() == "minilm", "the loaded one is no slower, and the caller does not mind"
    assert world.engines.started == ["bge", "minilm"]
    assert world.engines.running == ["bge", "minilm"], "there is room for both"


async def test_a_search_has_both_its_models_loaded(world: World) -> None:
    await world.embed()
    model, ranking = await world.models.rerank(QUESTION)
    assert (model.id, ranking.scores) == ("judge", (0.5,))
    await world.embed()
    assert world.engines.running == ["bge", "judge"]
    assert [(each.model.id, each.memory_bytes) for each in world.models.loaded] == [("bge", 42), ("judge", 42)]


async def test_a_model_of_another_kind_is_refused_in_words(world: World) -> None:
    with pytest.raises(InvalidRequest, match="“chatty” is not made for embeddings"):
        await world.embed("chatty")
    with pytest.raises(InvalidRequest, match="“bge” is not made for reranking"):
        await world.models.rerank(QUESTION, model="bge")
    with pytest.raises(UnknownModel):
        await world.embed("text-embedding-3-small")
    assert world.engines.made == []


async def test_without_any_it_says_what_to_get(world: World) -> None:
    world.catalog.models = [of_kind("chatty", "chat"), of_kind("broken", "embedding", problem="It is damaged.")]
    with pytest.raises(NoModelOfKind, match=r"no embedding model here.*file of an embedding model"):
        await world.embed()
    with pytest.raises(NoModelOfKind, match=r"no rerank model here.*file of a rerank model"):
        await world.models.rerank(QUESTION)
    with pytest.raises(LoadFailed, match="It is damaged"):
        await world.embed("broken")


# --- one engine's life -----------------------------------------------------------------------------------------------


async def test_requests_share_one_load_and_run_side_by_side(world: World) -> None:
    world.engines.may_load.clear()
    asked = [asyncio.create_task(world.embed()) for _ in range(5)]
    await until(lambda: len(world.engines.made) == 1)
    world.engines.may_load.set()
    assert await asyncio.gather(*asked) == ["bge"] * 5
    assert len(world.engines.made) == 1


async def test_without_room_another_model_waits_for_the_running_requests(world: World) -> None:
    world.most_at_once = 1
    world.engines.may_answer.clear()
    first = asyncio.create_task(world.embed("bge"))
    await until(lambda: world.engines.running == ["bge"])
    second = asyncio.create_task(world.embed("minilm"))
    await asyncio.sleep(0)
    assert world.engines.running == ["bge"]
    world.engines.may_answer.set()
    assert (await first, await second) == ("bge", "minilm")
    assert world.engines.running == ["minilm"]


async def test_one_who_leaves_while_it_loads_leaves_a_whole_engine(world: World) -> None:
    world.engines.may_load.clear()
    gone = asyncio.create_task(world.embed())
    await until(lambda: len(world.engines.made) == 1)
    gone.cancel()
    other = asyncio.create_task(world.embed())
    world.engines.may_load.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await other == "bge"
    assert len(world.engines.made) == 1


async def test_a_death_is_told_and_the_next_request_starts_it_again(world: World) -> None:
    world.engines.may_answer.clear()
    asked = asyncio.create_task(world.embed())
    await until(lambda: world.engines.running == ["bge"])
    world.engines.made[0].die()
    with pytest.raises(EngineDied):
        await asked
    assert world.models.loaded == []
    world.engines.may_answer.set()
    assert await world.embed() == "bge"
    assert len(world.engines.made) == 2


@pytest.mark.parametrize("failure", [OutOfMemory("bge"), LoadFailed("bge", "it is damaged.")])
async def test_a_load_that_fails_leaves_nothing_and_may_be_tried_again(world: World, failure: Exception) -> None:
    world.engines.failures["bge"] = failure
    with pytest.raises(type(failure)):
        await world.embed()
    assert world.models.loaded == []
    assert await world.embed() == "bge"


async def test_a_model_that_does_not_fit_is_refused_before_it_loads(world: World) -> None:
    world.most_at_once = 0
    with pytest.raises(ModelTooBig):
        await world.embed()
    assert world.engines.made == []


async def test_an_idle_engine_goes_and_a_busy_one_stays(new_world: NewWorld) -> None:
    world = new_world(guest_seconds=0.01)
    world.engines.may_answer.clear()
    asked = asyncio.create_task(world.embed())
    await until(lambda: world.engines.running == ["bge"])
    await asyncio.sleep(0.05)
    assert world.engines.running == ["bge"]
    world.engines.may_answer.set()
    await asked
    await until(lambda: world.engines.running == [])
    assert world.models.loaded == []
    assert await world.embed() == "bge"


async def test_closing_ends_what_runs_and_starts_nothing_more(world: World) -> None:
    world.engines.may_answer.clear()
    world.most_at_once = 1
    running = asyncio.create_task(world.embed("bge"))
    await until(lambda: world.engines.running == ["bge"])
    waiting = asyncio.create_task(world.embed("minilm"))
    await asyncio.sleep(0)
    await world.manager.close()
    for outcome in await asyncio.gather(running, waiting, return_exceptions=True):
        assert isinstance(outcome, EngineStopped)
    assert world.engines.started == ["bge"]


async def test_unloading_gives_both_back(world: World) -> None:
    await world.embed()
    await world.models.rerank(QUESTION)
    await world.manager.unload_all()
    assert (world.engines.running, world.models.loaded) == ([], [])
