"""How much a key may ask, in any minute and at once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.key_limits import WINDOW_SECONDS, KeyLimiter
from webui.errors import RateLimited
from webui.store.keys import KeyLimits


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def ask(limiter: KeyLimiter) -> float | None:
    """One short request: None when it was let through, else the seconds to wait."""
    try:
        with limiter.admit():
            return None
    except RateLimited as error:
        return float(error.details["retry_after"] or 0)


pauses = st.lists(st.floats(0, 90, allow_nan=False), min_size=1, max_size=120)
limits = st.integers(1, 8)


@given(pauses, limits, st.floats(0, 1e6))
def test_no_minute_holds_more_requests_than_allowed(pauses: list[float], limit: int, start: float) -> None:
    clock = Clock(start)
    limiter = KeyLimiter(KeyLimits(requests_per_minute=limit), clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        if ask(limiter) is None:
            passed.append(clock.now)
    for index, moment in enumerate(passed):
        assert sum(moment <= other < moment + WINDOW_SECONDS for other in passed[index:]) <= limit


@given(pauses, limits)
def test_who_waits_as_long_as_told_is_let_through_and_never_waits_longer_than_a_minute(
    pauses: list[float], limit: int
) -> None:
    clock = Clock()
    limiter = KeyLimiter(KeyLimits(requests_per_minute=limit), clock)
    for pause in pauses:
        clock.now += pause
        wait = ask(limiter)
        if wait is not None:
            assert 0 < wait <= WINDOW_SECONDS + 1
            clock.now += wait
            assert ask(limiter) is None


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 500)), min_size=1, max_size=80), st.integers(1, 1000))
def test_tokens_are_paid_afterwards_and_whoever_has_used_them_up_waits(
    requests: list[tuple[float, int]], limit: int
) -> None:
    clock = Clock()
    limiter = KeyLimiter(KeyLimits(tokens_per_minute=limit), clock)
    paid: list[tuple[float, int]] = []
    for pause, cost in requests:
        clock.now += pause
        in_last_minute = sum(tokens for moment, tokens in paid if moment > clock.now - WINDOW_SECONDS)
        is_through = ask(limiter) is None
        assert not (is_through and in_last_minute >= limit)
        if is_through:
            limiter.charge(cost)
            paid.append((clock.now, cost))


@given(pauses, limits)
def test_what_is_told_of_a_limit_is_what_holds(pauses: list[float], limit: int) -> None:
    clock = Clock()
    limiter = KeyLimiter(KeyLimits(requests_per_minute=limit), clock)
    for pause in pauses:
        clock.now += pause
        told = limiter.allowances()["requests"]
        assert told.limit == limit
        assert (told.remaining == 0) == (ask(limiter) is not None)
    clock.now += limiter.allowances()["requests"].reset_seconds
    assert limiter.allowances()["requests"].remaining == limit


def test_as_many_run_at_once_as_allowed_whatever_becomes_of_them() -> None:
    limiter = KeyLimiter(KeyLimits(concurrent_requests=2), Clock())
    with ExitStack() as running:
        for _ in range(2):
            running.enter_context(limiter.admit())
        with pytest.raises(RateLimited, match="2 answers at once"):
            running.enter_context(limiter.admit())
    with pytest.raises(ZeroDivisionError), limiter.admit():
        raise ZeroDivisionError
    with limiter.admit(), limiter.admit():
        pass


def test_a_refused_request_counts_nowhere() -> None:
    clock = Clock()
    limiter = KeyLimiter(KeyLimits(requests_per_minute=1, concurrent_requests=1), clock)
    assert ask(limiter) is None
    waits = [ask(limiter) for _ in range(5)]
    assert len(set(waits)) == 1, "asking again does not make the wait longer"
    clock.now += waits[0] or 0
    assert ask(limiter) is None


def test_without_limits_nothing_is_refused_or_told() -> None:
    limiter = KeyLimiter(KeyLimits(), Clock())
    assert all(ask(limiter) is None for _ in range(1000))
    assert limiter.allowances() == {}
