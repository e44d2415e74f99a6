"""The parent's side of one transfer: start the process, hear its reports, end it.

It knows neither jobs nor queues; what a report means is `downloads`'.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import cast

import msgspec

from webui.core.line_tail import LineTail
from webui.library.hub.transfer_order import Order, Report

TRANSFER_COMMAND = (sys.executable, "-m", "webui.library.hub.transfer")
_log = logging.getLogger(__name__)
_ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


class TransferProcess:
    """`reports(order)` runs it; `stop()` ends it at once, which costs nothing: what it wrote is on disk."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopped = False
        self._stderr = LineTail(_log)

    @property
    def is_stopped(self) -> bool:
        """Whether it ended because somebody here wanted that."""
        return self._is_stopped

    @property
    def last_words(self) -> str:
        """Why it ended by itself: how, and what it wrote last."""
        code = self._process.returncode if self._process is not None else None
        return "; ".join([f"exit code {code}", *self._stderr.lines[-1:]])

    async def reports(self, order: Order) -> AsyncGenerator[Report, None]:
        """Until the process ends. Raises OSError when it cannot be started."""
        if self._is_stopped:
            return
        self._process = process = await asyncio.create_subprocess_exec(
            *TRANSFER_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
        )
        stdin = cast("asyncio.StreamWriter", process.stdin)
        stdout = cast("asyncio.StreamReader", process.stdout)
        decoder = msgspec.json.Decoder(Report)
        errors = asyncio.ensure_future(self._stderr.drain(cast("asyncio.StreamReader", process.stderr)))
        try:
            if self._is_stopped:
                return
            stdin.write(msgspec.json.encode(order) + b"\n")  # stays open: its end would be the child's
            while line := await stdout.readline():
                yield decoder.decode(line)
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            stdin.close()
            await asyncio.gather(process.wait(), errors, return_exceptions=True)

    def stop(self) -> None:
        self._is_stopped = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
