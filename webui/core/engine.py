"""What the core asks of an engine: the shape that EngineClient has, and that tests give to a stand-in.

Types only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from webui.errors import EngineDied
from webui.types import (
    EngineInfo,
    EngineLoad,
    EngineOptions,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
)


class Engine(Protocol):
    """One engine process, used once: start, any number of generations side by side, stop."""

    @property
    def pid(self) -> int | None: ...

    @property
    def memory_bytes(self) -> int: ...

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo: ...

    def generate(
        self,
        request: GenerationRequest,
        *,
        stop: asyncio.Event | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]: ...

    def prefill(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]: ...

    def forget(self, conversation: str) -> None: ...

    async def stop(self) -> None: ...


class EngineFactory(Protocol):
    """Makes an engine that is not started yet. The callbacks run in the event loop; `on_exit` gets None when the exit
    was asked for."""

    def __call__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> Engine: ...
