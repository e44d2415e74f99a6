"""What a loop needs of the pipe to the parent; a script stands in for it in the tests."""

from __future__ import annotations

from typing import Protocol

from webui.engine.protocol import Command, Report


class Channel(Protocol):
    """The pipe to the parent."""

    def receive(self, timeout: float | None) -> Command | None:
        """The next command; None when there was none within `timeout` seconds (None waits for ever)."""

    def send(self, report: Report) -> None: ...

    def flush(self) -> None: ...
