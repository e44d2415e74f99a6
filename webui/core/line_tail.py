"""Drains a child's stderr: keeps the last lines, logs them, and never lets the child wait.

What our own code in the child warns of is logged as a warning here; everything else, C libraries' talk, at DEBUG.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque

_NUM_LINES = 50
_MAX_LINE = 2000  #: characters of one line that are kept
_OWN_WORDS = re.compile(r"(?P<level>WARNING|ERROR|CRITICAL) (?P<logger>webui\.[\w.]+): (?P<message>.*)")


class LineTail:
    """The last lines of one stream."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lines: deque[str] = deque(maxlen=_NUM_LINES)

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Read until the stream ends. Chunks, not lines: a flood without line ends must not block either."""
        rest = ""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk.decode("utf-8", "replace")).split("\n")
            rest = rest[-_MAX_LINE:]
            self._keep(lines)
        self._keep([rest])

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            if line.strip():
                self._lines.append(line[:_MAX_LINE])
                self._log(line[:_MAX_LINE])

    def _log(self, line: str) -> None:
        said = _OWN_WORDS.fullmatch(line)
        if said is None:
            self._logger.debug("engine: %s", line)
        else:
            logging.getLogger(said["logger"]).log(logging.getLevelNamesMapping()[said["level"]], "%s", said["message"])
