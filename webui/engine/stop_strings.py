"""Stop strings: end an answer before a given text, wherever the token boundaries fall.

Text that could still become a stop string is held back until it is clear; the stop string itself is never returned.
"""

from __future__ import annotations


class StopStrings:
    """Watches one answer for the first of `stops` to appear."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.matched = ""  #: the stop string that was completed

    @property
    def has_stopped(self) -> bool:
        return bool(self.matched)

    def feed(self, text: str) -> str:
        """The text that is certainly part of the answer; sets `has_stopped` when a stop string was completed."""
        self._held += text
        found = [(position, stop) for stop in self._stops if (position := self._held.find(stop)) >= 0]
        if found:
            position, self.matched = min(found)
            safe, self._held = self._held[:position], ""
            return safe
        keep = self._num_pending()
        safe, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return safe

    def flush(self) -> str:
        """What was held back in vain; call it when the answer ends otherwise."""
        safe, self._held = self._held, ""
        return safe

    def _num_pending(self) -> int:
        """Length of the longest end of the held text that begins some stop string."""
        return max((pending_suffix(self._held, stop) for stop in self._stops), default=0)


def pending_suffix(text: str, marker: str) -> int:
    """How many characters at the end of `text` are a beginning (not the whole) of `marker`."""
    for length in range(min(len(text), len(marker) - 1), 0, -1):
        if text.endswith(marker[:length]):
            return length
    return 0
