"""A contestant: how one server is installed and started with the model, threads and context that all of them get."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glasshouse_bench.client import AskFailed, Client
from glasshouse_bench.environments import Unavailable
from glasshouse_bench.setup import Setup
from glasshouse_bench.text import story

START_SECONDS = 180.0


@dataclass(frozen=True)
class Launch:
    """A command and what it runs in."""

    command: list[str]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Running:
    """A contestant whose model is loaded and warm."""

    client: Client
    ignores_end: bool  #: answers are as long as they were asked to be


class Contestant(ABC):
    """`key` names it in options and results. `is_reference`: it is llama.cpp's own server, which the bars are about.
    `is_unified`: the second KV mode of such a server, measured where a bar asks for the better of the two."""

    key: str
    title: str
    is_reference = False
    is_unified = False
    is_ours = False

    @abstractmethod
    def prepare(self) -> str:
        """Install what is missing; the version for the table. Raises Unavailable."""

    @abstractmethod
    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        """How it is started."""

    @asynccontextmanager
    async def run(self, setup: Setup) -> AsyncIterator[Running]:
        """The server for the time of the block. Raises Unavailable with the last line of its log."""
        with tempfile.TemporaryDirectory(prefix="glasshouse-bench-") as name:
            port = _free_port()
            launch = self.launch(setup, port, Path(name))
            log = Path(name) / "server.log"
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *launch.command, cwd=launch.folder, env={**os.environ, **launch.environment}, stdout=output,
                    stderr=output, start_new_session=True,
                )  # fmt: skip
            try:
                async with asyncio.timeout(START_SECONDS):
                    running = await self._wait_until_warm(process, port, setup)
            except (TimeoutError, _Ended) as error:
                await _stop(process)
                lines = log.read_text(errors="replace").strip().splitlines()
                raise Unavailable(f"it did not start: {lines[-1] if lines else error!r}") from error
            try:
                yield running
            finally:
                await _stop(process)

    async def _wait_until_warm(self, process: asyncio.subprocess.Process, port: int, setup: Setup) -> Running:
        """Ask until it answers: the model is loaded then, and its first, slow steps are behind it."""
        bias = {str(token): -100 for token in setup.model.end_tokens}
        ways: list[dict[str, Any]] = [{"ignore_eos": True}, {"logit_bias": bias}, {}]
        await _wait_for_port(process, port)
        while True:
            for extra in ways:
                client = Client(port, "default", extra)
                try:
                    await client.ask(story("warm up"), 16)
                except AskFailed as error:
                    if error.status in {400, 422}:
                        continue  # it does not know this parameter
                    break  # it still loads
                return Running(client, ignores_end=bool(extra))
            if process.returncode is not None:
                raise _Ended
            await asyncio.sleep(0.5)


class _Ended(Exception):
    pass


async def _wait_for_port(process: asyncio.subprocess.Process, port: int) -> None:
    while process.returncode is None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise _Ended


async def _stop(process: asyncio.subprocess.Process) -> None:
    """The whole process group: a server may have started others."""
    for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
