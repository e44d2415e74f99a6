"""A value and those who want to hear of it, within one event loop.

It knows nothing of what is said. Listeners are plain functions and run at once, in the order in which they came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Signal(Generic[T]):
    """`emit(value)` calls every subscribed listener; one that fails is logged and never keeps others from hearing."""

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[T], None]] = {}

    @property
    def has_listeners(self) -> bool:
        return bool(self._listeners)

    def subscribe(self, listener: Callable[[T], None]) -> Callable[[], None]:
        """Call `listener` from now on; the returned function ends that and may be called more than once."""
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def emit(self, value: T) -> None:
        for key, listener in list(self._listeners.items()):
            if key not in self._listeners:  # unsubscribed by a listener before it
                continue
            try:
                listener(value)
            except Exception:  # noqa: BLE001 - the edge between the one who speaks and whoever listens
                _log.exception("A listener failed")
