"""How much one key may ask: requests and tokens in any minute, and requests at once.

The minute slides: whatever 60 seconds one looks at, no more than the limit was let through. What a request costs in
tokens is known only when it has ended, so tokens are paid afterwards: who has used up the minute's waits, and an answer
that was begun is finished. It knows counts and times; who asks what it does not know. Times are seconds of a clock that
is passed in.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from webui.errors import RateLimited
from webui.store.keys import KeyLimits

WINDOW_SECONDS = 60
CONCURRENT_RETRY_SECONDS = 1.0  #: nobody knows when the running ones end


class Allowance(NamedTuple):
    """What is left of one limit."""

    limit: int
    remaining: int
    reset_seconds: float  #: until all of it is there again


class MinuteWindow:
    """The sum of what was taken in the last minute, kept by the second, so it never holds more than 61 numbers. An
    amount leaves up to a second late, never early."""

    def __init__(self) -> None:
        self._taken: deque[tuple[int, int]] = deque()  # (second, amount)
        self._sum = 0

    def take(self, amount: int, now: float) -> None:
        second = math.floor(now)
        if self._taken and self._taken[-1][0] >= second:
            last, before = self._taken.pop()
            self._taken.append((last, before + amount))
        else:
            self._taken.append((second, amount))
        self._sum += amount

    def used(self, now: float) -> int:
        while self._taken and now >= _leaves_at(self._taken[0][0]):
            self._sum -= self._taken.popleft()[1]
        return self._sum

    def seconds_until(self, at_most: int, now: float) -> float:
        """How long until no more than `at_most` of what was taken still counts."""
        left = self.used(now)
        for second, amount in self._taken:
            if left <= at_most:
                break
            left -= amount
            freed_at = _leaves_at(second)
            if left <= at_most:
                return max(0.0, freed_at - now)
        return 0.0


def _leaves_at(second: int) -> float:
    return second + 1 + WINDOW_SECONDS


class KeyLimiter:
    """Asked before each request of one key; told of the tokens behind it."""

    def __init__(self, limits: KeyLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._requests = MinuteWindow()
        self._tokens = MinuteWindow()
        self._num_running = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """One request, from its beginning to its end. Raises RateLimited; a request that is refused counts nowhere."""
        self._check(self._clock())
        self._requests.take(1, self._clock())
        self._num_running += 1
        try:
            yield
        finally:
            self._num_running -= 1

    def charge(self, num_tokens: int) -> None:
        self._tokens.take(num_tokens, self._clock())

    def allowances(self) -> dict[str, Allowance]:
        """What is left of `requests` and `tokens`, where they are limited."""
        now = self._clock()
        limits = self._limits
        known = {
            "requests": (limits.requests_per_minute, self._requests),
            "tokens": (limits.tokens_per_minute, self._tokens),
        }
        return {
            name: Allowance(limit, max(0, limit - window.used(now)), window.seconds_until(0, now))
            for name, (limit, window) in known.items()
            if limit is not None
        }

    def _check(self, now: float) -> None:
        limits = self._limits
        if limits.concurrent_requests is not None and self._num_running >= limits.concurrent_requests:
            raise RateLimited("concurrent requests", limits.concurrent_requests, CONCURRENT_RETRY_SECONDS)
        for of, limit, window in (
            ("requests", limits.requests_per_minute, self._requests),
            ("tokens", limits.tokens_per_minute, self._tokens),
        ):
            if limit is not None and window.used(now) >= limit:
                raise RateLimited(of, limit, window.seconds_until(limit - 1, now))
