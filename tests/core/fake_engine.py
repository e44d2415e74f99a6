"""A stand-in for the engine process: every load and every answer does what the test says, in no time.

engines = FakeEngines()
manager = ModelManager(..., engine_factory=engines)
answer = await engines.next_answer()     # somebody asked
answer.say("Hel"); answer.say("lo"); answer.finish()
engines.newest.die()                     # as after kill -9
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from webui.core.engine import OnEnd
from webui.engine.protocol import CountPrompt, Detokenize, Finding, ListSlots, PromptCount, Render, ShowPrompt, Tokenize
from webui.errors import EngineDied, EngineStopped, GlasshouseError, OutOfMemory, UnknownModel
from webui.library.catalog import Catalog
from webui.library.memory_fit import FitPlan
from webui.types import (
    ContextTrimmed,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    ModelSource,
    PromptProgress,
    Queued,
    ReasoningDelta,
    TextDelta,
    Timings,
    Usage,
)

USAGE = Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=3)
TIMINGS = Timings(queued_seconds=0.0, first_token_seconds=0.1, total_seconds=0.2, tokens_per_second=30.0)
OPTIONS = EngineOptions(context_tokens=2048, kv_tokens=4096, num_slots=4)
PLAN = FitPlan(options=OPTIONS, weights_bytes=1, kv_bytes=1, compute_bytes=1, ram_needed=3, vram_needed=0)


def model_file(name: str, *, source: ModelSource = "local", problem: str | None = None) -> ModelFile:
    return ModelFile(
        id=name, name=name, path=Path(__file__), size_bytes=1000, source=source, context_train=2048, problem=problem
    )


class FakeCatalog(Catalog):
    """A list of models that lie nowhere."""

    def __init__(self, *models: ModelFile) -> None:
        super().__init__(Path(), (), include_starter=False)
        self.models = list(models)

    async def scan(self) -> list[ModelFile]:
        return list(self.models)

    async def find(self, name: str) -> ModelFile:
        for model in self.models:
            if model.id == name:
                return model
        raise UnknownModel(name)

    async def delete(self, model_id: str) -> None:
        self.models.remove(await self.find(model_id))


class FakeAnswer:
    """One generation, as the engine sees it."""

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self.messages = request.messages
        self.sampling = request.sampling
        self.owner = request.owner
        self.priority = request.priority
        self.is_cancelled = False
        self.usage = USAGE
        self._events: asyncio.Queue[GenerationEvent | GlasshouseError] = asyncio.Queue()

    def queue(self, position: int, seconds: float | None = None) -> None:
        self._events.put_nowait(Queued(position=position, seconds=seconds))

    def trim(self, *, num_messages: int = 0, num_tokens: int = 0) -> None:
        self._events.put_nowait(ContextTrimmed(num_messages=num_messages, num_tokens=num_tokens))

    def read(self, done: int, total: int) -> None:
        self._events.put_nowait(PromptProgress(done=done, total=total))

    def think(self, text: str) -> None:
        self._events.put_nowait(ReasoningDelta(text=text))

    def say(self, text: str) -> None:
        self._events.put_nowait(TextDelta(text=text))

    def finish(self, reason: FinishReason = "stop", usage: Usage | None = None) -> None:
        self._events.put_nowait(Finished(reason=reason, usage=usage or self.usage, timings=TIMINGS))

    def fail(self, error: GlasshouseError) -> None:
        self._events.put_nowait(error)

    async def stream(self, stop: asyncio.Event | None) -> AsyncGenerator[GenerationEvent, None]:
        stopping = asyncio.create_task(self._end_when(stop)) if stop is not None else None
        try:
            while True:
                event = await self._events.get()
                if isinstance(event, GlasshouseError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        except (GeneratorExit, asyncio.CancelledError):
            self.is_cancelled = True
            raise
        finally:
            if stopping is not None:
                stopping.cancel()

    async def _end_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.is_cancelled = True
        self.finish("cancelled")


class FakeEngine:
    """One engine of `FakeEngines`."""

    def __init__(
        self,
        engines: FakeEngines,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> None:
        self.model: ModelFile | None = None
        self.is_running = False
        self.memory_bytes = 118_000_000
        self.pid: int | None = None
        self.answers: list[FakeAnswer] = []
        self.forgotten: list[str] = []
        self.report_progress = on_load_progress
        self.report_load = on_engine_load
        self._engines = engines
        self._on_exit = on_exit
        self._error: GlasshouseError | None = None

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo:
        self.model = model
        self.is_running = True
        self._engines.note_running()
        await self._engines.may_load.wait()
        failure = self._engines.failures.get(model.id)
        if failure is not None or not self._engines.fits(options):
            self.is_running = False
            raise failure or OutOfMemory(model.id)
        return EngineInfo(
            description="fake", num_parameters=1, context_train=2048, options=options, device="CPU",
            has_chat_template=True,
        )  # fmt: skip

    async def generate(
        self,
        request: GenerationRequest,
        *,
        stop: asyncio.Event | None = None,
        on_end: OnEnd | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        if self._error is not None:
            raise self._error
        answer = FakeAnswer(request)
        self.answers.append(answer)
        (self._engines.asked_aside if request.is_side_job else self._engines.asked).put_nowait(answer)
        stream = answer.stream(stop)
        try:
            async for event in stream:
                if isinstance(event, Finished) and on_end is not None:
                    on_end(event.usage)
                yield event
        finally:
            await stream.aclose()
            self.answers.remove(answer)

    async def prefill(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]:
        answer = FakeAnswer(request)
        self._engines.drafts.put_nowait(answer)
        async with aclosing(answer.stream(stop)) as events:
            async for event in events:
                yield event

    async def probe(self, asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | ListSlots) -> Finding:
        return PromptCount(num_tokens=7)

    def forget(self, conversation: str) -> None:
        self.forgotten.append(conversation)

    async def stop(self) -> None:
        await self._engines.may_stop.wait()
        if self.is_running:
            self._end(EngineStopped())
            self._on_exit(None)

    def die(self, reason: str = "it was killed") -> None:
        """As after kill -9: nothing was asked, everything ends."""
        error = EngineDied(reason)
        self._end(error)
        self._on_exit(error)

    def _end(self, error: GlasshouseError) -> None:
        self._error = error
        self.is_running = False
        self.memory_bytes = 0
        for answer in self.answers:
            answer.fail(error)


class FakeEngines:
    """The factory, and what it made."""

    def __init__(self) -> None:
        self.made: list[FakeEngine] = []
        self.failures: dict[str, GlasshouseError] = {}  #: model id → what its load raises
        self.fits: Callable[[EngineOptions], bool] = lambda options: True  #: whether there is memory for these
        self.may_load = asyncio.Event()  #: clear it to hold loads
        self.may_load.set()
        self.may_stop = asyncio.Event()  #: clear it to hold stops
        self.may_stop.set()
        self.asked: asyncio.Queue[FakeAnswer] = asyncio.Queue()
        self.asked_aside: asyncio.Queue[FakeAnswer] = asyncio.Queue()  #: side jobs, titles among them
        self.drafts: asyncio.Queue[FakeAnswer] = asyncio.Queue()  #: what is only read
        self.most_at_once = 0

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> FakeEngine:
        engine = FakeEngine(self, on_load_progress, on_engine_load, on_exit)
        self.made.append(engine)
        return engine

    @property
    def newest(self) -> FakeEngine:
        return self.made[-1]

    @property
    def started(self) -> list[str]:
        return [engine.model.id for engine in self.made if engine.model is not None]

    async def next_answer(self) -> FakeAnswer:
        return await asyncio.wait_for(self.asked.get(), 5)

    async def next_side_job(self) -> FakeAnswer:
        return await asyncio.wait_for(self.asked_aside.get(), 5)

    async def next_draft(self) -> FakeAnswer:
        return await asyncio.wait_for(self.drafts.get(), 5)

    def note_running(self) -> None:
        self.most_at_once = max(self.most_at_once, sum(engine.is_running for engine in self.made))
