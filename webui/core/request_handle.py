"""A running request in the hand of somebody who may pause it and let it go on.

It knows the two words that it says to the engine, and nothing of what the request is about.
"""

from __future__ import annotations

from collections.abc import Callable

from webui.engine.protocol import Command, Pause, Resume


class RequestHandle:
    """Make one, give it to `generate`; it does nothing before the request is asked and after it has ended.

    A paused request is left out of the engine's steps; it keeps its memory unless somebody else needs it.
    """

    def __init__(self) -> None:
        self._request_id = 0
        self._write: Callable[[Command], None] | None = None
        self.is_paused = False

    def pause(self) -> None:
        self._set(True)

    def resume(self) -> None:
        self._set(False)

    def bind(self, request_id: int, write: Callable[[Command], None]) -> None:
        """The request is asked now; one that was paused before begins paused."""
        self._request_id, self._write = request_id, write
        if self.is_paused:
            write(Pause(request_id=request_id))

    def release(self) -> None:
        self._write = None

    def _set(self, is_paused: bool) -> None:
        if is_paused == self.is_paused:
            return
        self.is_paused = is_paused
        if self._write is not None:
            command = Pause if is_paused else Resume
            self._write(command(request_id=self._request_id))
