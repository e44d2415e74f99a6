"""Answers in a Redis that several servers may share. One that is gone, full or slow is a miss: told once, no error.

How much it holds in all, and what goes first, is for its own `maxmemory` and `maxmemory-policy`. It needs the extra
`redis`: only `cache_stores` imports it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from webui.errors import ConfigurationError

T = TypeVar("T")

_log = logging.getLogger(__name__)

PREFIX = "glasshouse:answer:1:"  #: the number changes with what is kept
_SECONDS = 0.5  # for a question; who waits longer had better ask the model
_REST_SECONDS = 10.0  # after a failure, before it is asked again


class RedisStore:
    """`core.cache_stores.CacheStore` over a client. `max_bytes` is the largest answer that is kept."""

    def __init__(
        self, client: Redis, max_bytes: int, age_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._age_seconds = age_seconds
        self._clock = clock
        self._rests_until: float | None = None  # None: it answered the last time

    @property
    def size(self) -> None:
        return None

    async def get(self, key: str) -> bytes | None:
        value = await self._try(lambda: self._client.get(PREFIX + key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        if len(value) <= self._max_bytes:
            expire = None if self._age_seconds < 0 else max(1, round(self._age_seconds))
            await self._try(lambda: self._client.set(PREFIX + key, value, ex=expire))

    async def close(self) -> None:
        await self._try(self._client.aclose)

    async def _try(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        if self._rests_until is not None and self._clock() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await ask()
        except (RedisError, OSError, TimeoutError) as error:  # its address holds a password: nothing of it is logged
            if self._rests_until is None:
                _log.warning("The response cache's Redis does not answer (%s): models do", type(error).__name__)
            self._rests_until = self._clock() + _REST_SECONDS
            return None
        if self._rests_until is not None:
            _log.info("The response cache's Redis answers again")
            self._rests_until = None
        return answer


def create_redis_store(url: str, max_bytes: int, age_seconds: float) -> RedisStore:
    """Nothing is connected yet. Raises ConfigurationError for an address that is none."""
    try:
        client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=_SECONDS)
    except ValueError as error:
        raise ConfigurationError(f"--response-cache is no address of a Redis: {error}.") from None
    return RedisStore(client, max_bytes, age_seconds)
