"""What the core asks of an engine: the shapes that EngineClient has, and that tests give to stand-ins.

Types only. One program serves them all; which of the two an engine is follows from the kind of its model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from webui.engine.protocol import CountPrompt, Detokenize, Finding, ListSlots, Render, ShowPrompt, Tokenize
from webui.errors import EngineDied
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    Ranking,
    RerankRequest,
    Usage,
)

OnEnd = Callable[[Usage], None]  #: told once what a request has cost


class EngineProcess(Protocol):
    """One engine process, used once: start, any number of requests side by side, stop."""

    @property
    def pid(self) -> int | None: ...

    @property
    def memory_bytes(self) -> int: ...

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo: ...

    async def stop(self) -> None: ...


class Engine(EngineProcess, Protocol):
    """One with a chat model."""

    def generate(
        self,
        request: GenerationRequest,
        *,
        stop: asyncio.Event | None = None,
        on_end: OnEnd | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]: ...

    def prefill(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]: ...

    def forget(self, conversation: str) -> None: ...

    async def probe(self, asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | ListSlots) -> Finding: ...


class EmbeddingEngine(EngineProcess, Protocol):
    """One with an embedding or rerank model."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings: ...

    async def rerank(self, request: RerankRequest) -> Ranking: ...


class ProcessFactory(Protocol):
    """Makes an engine that is not started yet. The callbacks run in the event loop; `on_exit` gets None when the exit
    was asked for."""

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> EngineProcess: ...


class EngineFactory(Protocol):
    """A ProcessFactory for chat models."""

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> Engine: ...


class EmbeddingEngineFactory(Protocol):
    """A ProcessFactory for models that embed or rank."""

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> EmbeddingEngine: ...
