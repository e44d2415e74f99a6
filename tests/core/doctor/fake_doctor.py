"""A house with a model that costs nothing: its engine computes at whatever speed the test says, and takes no time."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from webui.core.neighbours import Footprint, Neighbours
from webui.core.planning import Target
from webui.engine.protocol import Finding, Render, Rendered, Score, Scored, Tokenize, Tokenized, TokenizedText
from webui.errors import GlasshouseError, ModelTooBig
from webui.library.memory_fit import FitPlan
from webui.types import (
    AlternativeToken,
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    ModelKind,
    Ranking,
    RerankRequest,
    TextDelta,
    Timings,
    TokenLogprobs,
    Usage,
)

OPTIONS = EngineOptions(context_tokens=4096, kv_tokens=4096, num_slots=1, kv_layout="separate", threads=4)
PLAN = FitPlan(options=OPTIONS, weights_bytes=1, kv_bytes=1, compute_bytes=1, ram_needed=3, vram_needed=0)
GOOD_CALL = '{"name": "get_weather", "arguments": {"city": "Lisbon"}}'


def sensible(request: GenerationRequest) -> str:
    """What a good model says to the doctor's questions."""
    question = request.messages[-1].content
    answers = {
        "Anna": '```json\n{"name": "Anna Berg", "age": 34, "city": "Oslo"}\n```',
        "flag": '{"colors": ["red", "white", "blue"]}',
        "Lisbon": GOOD_CALL,
        "timer": '{"name": "set_timer", "arguments": {"minutes": 7}}',
        "two plus": "Four.",
    }
    return next((text for key, text in answers.items() if key in question), "The sea is wide and blue today.")


@dataclass
class FakeModel:
    """What every engine of this model does."""

    answer: Callable[[GenerationRequest], str] = sensible
    logprob: float = -1.0  #: of each token that it writes
    nats_per_byte: float = 0.35
    num_nan: int = 0
    takes_system: bool = True
    knows_tools: bool = True
    reading: Callable[[EngineOptions], float] = lambda _options: 400.0  #: tokens a second
    writing: Callable[[EngineOptions], float] = lambda _options: 50.0
    kind: ModelKind = "chat"
    vectors: dict[str, tuple[float, float]] = field(default_factory=dict)  #: of texts that begin like this
    load_error: GlasshouseError | None = None
    before_answer: Callable[[], None] = lambda: None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    engines: list[FakeDoctorEngine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def create_engine(self) -> FakeDoctorEngine:
        self.engines.append(FakeDoctorEngine(self))
        return self.engines[-1]

    @property
    def num_running(self) -> int:
        return sum(engine.is_running for engine in self.engines)


class FakeDoctorEngine:
    def __init__(self, model: FakeModel) -> None:
        self.memory_bytes = 200_000_000
        self.is_running = False
        self.options = OPTIONS
        self._model = model

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo:
        if self._model.load_error is not None:
            raise self._model.load_error
        self.is_running, self.options = True, options
        return EngineInfo(
            description=model.name, num_parameters=1, context_train=8192, options=options, device="CPU",
            has_chat_template=True, kind=self._model.kind,
        )  # fmt: skip

    async def stop(self) -> None:
        self.is_running = False

    async def probe(self, asked: Tokenize | Render | Score) -> Finding:
        match asked:
            case Tokenize(texts=texts):
                return Tokenized(
                    texts=tuple(TokenizedText(num_tokens=len(text) // 4 + 1, text=text.encode()) for text in texts)
                )
            case Render():
                return self._render(asked)
            case Score(text=text):
                size = len(text.encode())
                nats = None if self._model.num_nan else self._model.nats_per_byte * size
                nan = self._model.num_nan
                return Scored(num_tokens=9, num_bytes=size, num_nan=nan, num_infinite=0, nats=nats, entropy=2.0)

    def _render(self, asked: Render) -> Rendered:
        messages = json.loads(asked.messages)
        if messages[0]["role"] == "system" and not self._model.takes_system:
            return Rendered(text=None, refusal="no system, please")
        text = asked.tools if self._model.knows_tools else ""
        for message in messages:
            calls = json.dumps(message.get("tool_calls")) if "tool_calls" in message else ""
            text += f"<{message['role']}>{message['content']}{calls}"
        text += "<assistant>" if asked.add_generation_prompt else ""
        return Rendered(text=text, num_tokens=len(text.split()) + 3)

    async def generate(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]:
        self._model.before_answer()
        await self._model.may_answer.wait()
        text = self._model.answer(request)
        yield TextDelta(text=text)
        sampling = request.sampling
        written = (sampling.max_tokens or 9) if sampling.ignore_eos else len(text.split())
        if sampling.logprobs is not None:
            chosen = AlternativeToken(token=b"x", logprob=self._model.logprob)
            for _ in range(written):
                yield TokenLogprobs(chosen=chosen, top=())
        read = len(request.messages[-1].content.split()) + 3
        first = read / self._model.reading(self.options)
        speed = self._model.writing(self.options)
        yield Finished(
            reason="length" if sampling.ignore_eos else "stop",
            usage=Usage(prompt_tokens=read, cached_tokens=0, completion_tokens=written),
            timings=Timings(
                queued_seconds=0.0,
                first_token_seconds=first,
                total_seconds=first + (written - 1) / speed,
                tokens_per_second=speed if written > 1 else 0.0,
            ),
        )

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Texts lie where the test says; others in one place."""
        vectors = [self._model.vectors.get(str(text)[:5], (1.0, 0.0)) for text in request.inputs]
        return Embeddings(
            vectors=b"".join(struct.pack("<2f", *vector) for vector in vectors), dimensions=2, num_tokens=9
        )

    async def rerank(self, request: RerankRequest) -> Ranking:
        return Ranking(scores=(0.9, 0.1)[: len(request.documents)], num_tokens=9)


@dataclass
class FakeHouse:
    """The rest of the house. `busy_looks` answers the next questions whether anybody is busy."""

    loaded_names: tuple[str, ...] = ()
    neighbours: Neighbours = field(default_factory=Neighbours)
    busy_looks: list[bool] = field(default_factory=list)
    num_unloads: int = 0

    @property
    def is_busy(self) -> bool:
        return self.busy_looks.pop(0) if self.busy_looks else False

    async def unload(self) -> None:
        self.num_unloads += 1
        self.loaded_names, self.neighbours = (), Neighbours()


def full_house() -> FakeHouse:
    return FakeHouse(loaded_names=("Large",), neighbours=Neighbours(staying=(Footprint(None, PLAN),)))


def plan_if_alone(target: Target, neighbours: Neighbours) -> FitPlan:
    if neighbours.staying:
        raise ModelTooBig(target.model.name, 5_000_000_000, 1_000_000_000)
    return PLAN


def model_at(path: Path) -> ModelFile:
    return ModelFile(
        id="small", name="Small", path=path, size_bytes=path.stat().st_size, source="local", context_train=8192
    )
