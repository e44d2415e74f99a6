"""Answers to identical requests whose answer cannot be another one, kept and told again; off unless switched on.

An answer is certain when the most probable token is always taken (temperature 0) or a seed is given. What it depends
on (the model's file, how it is loaded, adapters, everything in the request that reaches the model) is its key; who asks
and how urgent it is are not. A hit tells the same events as the first time. Where answers are kept is for a
`CacheStore`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from webui import __version__
from webui.core.cache_stores import CacheSize, CacheStore, create_store
from webui.core.telemetry.request_record import CacheOutcome
from webui.library.fingerprint import fingerprint
from webui.library.split import list_parts
from webui.types import (
    ContextTrimmed,
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Priority,
    PromptProgress,
    Queued,
    Timings,
)

_log = logging.getLogger(__name__)

_MOST_EVENTS = 100_000  # of an answer that is kept
_EVENTS_A_TURN = 200  # of a replay, before others have theirs

Events = AsyncGenerator[GenerationEvent, None]
_File = tuple[str, int, int]  # path, size, time of the last change


class ResponseCache:
    """`answer` stands between whoever asks and an engine."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store
        self._fingerprints: dict[_File, str] = {}
        self._decoder = msgspec.msgpack.Decoder(list[GenerationEvent])

    @property
    def size(self) -> CacheSize | None:
        """None where somebody else counts."""
        return self._store.size

    async def answer(
        self,
        request: GenerationRequest,
        model_path: Path,
        options: EngineOptions,
        generate: Callable[[], Events],
        note: Callable[[CacheOutcome], None],
    ) -> Events:
        """The events of `generate()`, or those of the first time. `note` hears which, before the first event; it hears
        nothing where the answer is not certain."""
        started_at = time.perf_counter()
        key = await self._key(request, model_path, options) if _is_certain(request) else None
        if key is None:
            events = generate()
        elif known := await self._find(key):
            note("hit")
            events = _replay(known, started_at)
        else:
            note("miss")
            events = self._keep(key, request, generate())
        async with aclosing(events):
            async for event in events:
                yield event

    async def close(self) -> None:
        await self._store.close()

    # --- what is kept ----------------------------------------------------------------------------------------------

    async def _find(self, key: str) -> list[GenerationEvent] | None:
        data = await self._store.get(key)
        if data is None:
            return None
        try:
            events = self._decoder.decode(data)
        except msgspec.DecodeError as error:
            _log.warning("An answer in the response cache is damaged and counts as not there: %s", error)
            return None
        return events if events and isinstance(events[-1], Finished) else None

    async def _keep(self, key: str, request: GenerationRequest, events: Events) -> Events:
        said: list[GenerationEvent] = []
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, Queued | PromptProgress) and len(said) <= _MOST_EVENTS:
                    said.append(event)
                if isinstance(event, Finished) and _is_whole(request, event, said):
                    await self._store.put(key, msgspec.msgpack.encode(said))
                yield event

    # --- keys ------------------------------------------------------------------------------------------------------

    async def _key(self, request: GenerationRequest, model_path: Path, options: EngineOptions) -> str | None:
        """None when the file is gone: nobody knows which model answers."""
        try:
            model = [await self._fingerprint(path) for path in list_parts(model_path)]
            if options.mmproj_path is not None:
                model.append(await self._fingerprint(Path(options.mmproj_path)))
        except OSError:
            return None
        sampling = request.sampling
        if _is_greedy(request):
            sampling = msgspec.structs.replace(sampling, seed=None)  # nothing is drawn
        asked = msgspec.structs.replace(
            request, sampling=sampling, owner="", priority=Priority.API, conversation="", is_side_job=False
        )
        loaded = (options.kv_type, options.flash_attention, options.chat_template)
        facts = (__version__, _llama_cpp(), model, loaded, asked)
        return hashlib.blake2b(msgspec.msgpack.encode(facts), digest_size=32).hexdigest()

    async def _fingerprint(self, path: Path) -> str:
        facts = await asyncio.to_thread(path.stat)
        file = (str(path), facts.st_size, facts.st_mtime_ns)
        if file not in self._fingerprints:
            self._fingerprints[file] = await asyncio.to_thread(fingerprint, path)
        return self._fingerprints[file]


def create_response_cache(place: str | None, max_bytes: int, age_seconds: float) -> ResponseCache | None:
    """`place`: None or "off", "memory", or the URL of a Redis. Raises ConfigurationError."""
    if place in {None, "off"}:
        return None
    return ResponseCache(create_store(str(place), max_bytes, age_seconds))


def _is_greedy(request: GenerationRequest) -> bool:
    return request.sampling.temperature == 0 and request.sampling.dynatemp_range == 0


def _is_certain(request: GenerationRequest) -> bool:
    """A chat in the page keeps what its model has read, and asking again there is meant to be asking again."""
    is_certain = _is_greedy(request) or request.sampling.seed is not None
    return is_certain and request.priority is not Priority.INTERACTIVE


def _is_whole(request: GenerationRequest, end: Finished, said: list[GenerationEvent]) -> bool:
    """Whether the same request would end so again. One that was cut off at the end of the context may go further in an
    engine with a longer one."""
    if end.reason == "cancelled" or len(said) > _MOST_EVENTS:
        return False
    if any(isinstance(event, ContextTrimmed) for event in said):
        return False
    return end.reason != "length" or end.usage.completion_tokens == request.sampling.max_tokens


async def _replay(events: list[GenerationEvent], started_at: float) -> Events:
    """What was said, with the times of now; all of the prompt counts as cached."""
    first_seconds = time.perf_counter() - started_at
    for number, event in enumerate(events, start=1):
        if number % _EVENTS_A_TURN == 0:
            await asyncio.sleep(0)
        if not isinstance(event, Finished):
            yield event
            continue
        timings = Timings(
            queued_seconds=0.0,
            first_token_seconds=first_seconds,
            total_seconds=time.perf_counter() - started_at,
            tokens_per_second=0.0,  # nothing was decoded
        )
        usage = msgspec.structs.replace(event.usage, cached_tokens=event.usage.prompt_tokens)
        yield msgspec.structs.replace(event, usage=usage, timings=timings)


def _llama_cpp() -> str:
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "unknown"
