"""Glasshouse's engine without the web server around it, for what the public API has no word for: reading ahead, side
jobs, state on disk, guessing ahead, who asks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from glasshouse_bench import client as http
from glasshouse_bench.setup import Setup
from webui.core.engine_client import EngineClient
from webui.types import (
    EngineLoad,
    EngineOptions,
    Finished,
    GenerationRequest,
    Message,
    ModelFile,
    Priority,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
    Usage,
)


@dataclass(frozen=True)
class EngineAnswer:
    """What one request to the engine brought. `tokens_per_second` is of decoding, the first token left out."""

    text: str
    first_token_seconds: float
    tokens_per_second: float
    usage: Usage


_PARKED_BYTES = 512 << 20  #: about what the product plans for itself


@asynccontextmanager
async def open_engine(
    setup: Setup,
    *,
    command: Sequence[str] | None = None,
    on_engine_load: Callable[[EngineLoad], None] = lambda _load: None,
    repeating: bool = False,
    **options: Any,
) -> AsyncIterator[EngineClient]:
    """An engine process with the model, for the time of the block. `options` change those of every contestant."""
    path = setup.model.repeating if repeating else setup.model.path
    file = ModelFile(id=setup.model.key, name=setup.model.title, path=path, size_bytes=0, source="local")
    plain = EngineOptions(
        context_tokens=setup.context, kv_tokens=setup.total_context, num_slots=setup.slots, kv_layout="separate",
        threads=setup.threads, speculate=False, parked_bytes=_PARKED_BYTES,
    )  # fmt: skip
    engine = EngineClient(command=command, on_engine_load=on_engine_load)
    await engine.start(file, msgspec.structs.replace(plain, **options))
    try:
        await ask(engine, request([http_message("Hello")], 16))
        yield engine
    finally:
        await engine.stop()


def http_message(text: str) -> http.Message:
    return {"role": "user", "content": text}


def request(messages: list[http.Message], max_tokens: int, **more: Any) -> GenerationRequest:
    """The same greedy question that goes to the others over HTTP, at their priority."""
    return GenerationRequest(
        messages=tuple(msgspec.convert(message, Message) for message in messages),
        sampling=SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True),
        **({"priority": Priority.API} | more),
    )


async def ask(engine: EngineClient, question: GenerationRequest) -> EngineAnswer:
    """Ask and read to the end."""
    begun = time.monotonic()
    moments: list[float] = []
    text = ""
    finished: Finished | None = None
    async with aclosing(engine.generate(question)) as events:
        async for event in events:
            if isinstance(event, TextDelta | ReasoningDelta):
                moments.append(time.monotonic())
                text += event.text
            elif isinstance(event, Finished):
                finished = event
    assert finished is not None, "an answer ends with Finished or an error"
    seconds = moments[-1] - moments[0] if moments else 0.0
    speed = (finished.usage.completion_tokens - 1) / seconds if seconds else 0.0
    return EngineAnswer(text, (moments[0] if moments else time.monotonic()) - begun, speed, finished.usage)
