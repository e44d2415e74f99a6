"""Calls that must come and say what an earlier one of the same answer said: a small model would go on so to the end.

What may still become a repetition is held back, so that nothing has to be taken back. It does not know how calls are
written.
"""

from __future__ import annotations

from collections.abc import Iterator

from webui.types import ToolCallDelta

NOTE = "The model began to repeat a call; the answer ends there."


class Repeats:
    """The calls of one answer."""

    def __init__(self) -> None:
        self.has_found = False  #: a call was said again: it is left out, and nothing further is part of the answer
        self._earlier: list[tuple[str, str]] = []  #: name and arguments of whole calls
        self._name = self._arguments = ""
        self._held: list[ToolCallDelta] = []

    def filter(self, delta: ToolCallDelta) -> Iterator[ToolCallDelta]:
        if self.has_found:
            return
        if delta.name:
            yield from self.flush()
            if self._name:
                self._earlier.append((self._name, self._arguments))
            self._name, self._arguments = delta.name, ""
        self._arguments += delta.arguments
        self._held.append(delta)
        alike = [said for name, said in self._earlier if name == self._name and said.startswith(self._arguments)]
        if self._arguments in alike:  # JSON objects: one that is whole is no beginning of another
            self.has_found = True
        elif not alike:
            yield from self.flush()

    def flush(self) -> Iterator[ToolCallDelta]:
        """What was held back in vain."""
        if not self.has_found:
            yield from self._held
            self._held = []
