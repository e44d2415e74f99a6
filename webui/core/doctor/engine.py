"""What the doctor asks of an engine: the shape that EngineClient has, and that tests give to a stand-in. Types only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from webui.engine.protocol import Finding, Render, Score, Tokenize
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineOptions,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    Ranking,
    RerankRequest,
)


class DoctorEngine(Protocol):
    """One engine process, used once."""

    @property
    def memory_bytes(self) -> int: ...

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo: ...

    def generate(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]: ...

    async def probe(self, asked: Tokenize | Render | Score) -> Finding: ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings: ...

    async def rerank(self, request: RerankRequest) -> Ranking: ...

    async def stop(self) -> None: ...


class DoctorEngineFactory(Protocol):
    """Makes an engine that is not started yet; its process leaves the machine to others where they want it."""

    def __call__(self) -> DoctorEngine: ...
