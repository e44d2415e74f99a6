"""Signals: everybody hears, nobody can spoil it for the others."""

from __future__ import annotations

import logging

import pytest

from webui.core.signal import Signal


def test_listeners_hear_in_order_until_they_unsubscribe() -> None:
    signal: Signal[str] = Signal()
    heard: list[str] = []
    unsubscribe = signal.subscribe(lambda value: heard.append(f"first {value}"))
    signal.subscribe(lambda value: heard.append(f"second {value}"))
    signal.emit("a")
    unsubscribe()
    unsubscribe()
    signal.emit("b")
    assert heard == ["first a", "second a", "second b"]


def divide_by_zero(value: int) -> None:
    value //= 0


def test_a_listener_that_fails_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    signal: Signal[int] = Signal()
    heard: list[int] = []
    signal.subscribe(divide_by_zero)
    signal.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        signal.emit(1)
    assert heard == [1]
    assert "ZeroDivisionError" in caplog.text


def test_one_listener_may_unsubscribe_another_while_both_are_told() -> None:
    signal: Signal[int] = Signal()
    heard: list[int] = []
    signal.subscribe(lambda _: unsubscribe())
    unsubscribe = signal.subscribe(heard.append)
    signal.emit(1)
    assert heard == []
