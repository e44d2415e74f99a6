"""A real Glasshouse in a process of its own, for tests that want the truth: `python -m webui serve` on a free port.

It knows nothing of pages or models: whoever starts one says which folders and which options it gets.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
#: Two threads wait for each other on a busy machine, and eight whole contexts take seconds to make.
LIGHT_ENGINE = ("--threads", "1", "--slots", "4")


def find_free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def find_lan_address() -> str | None:
    """An IPv4 address of this machine that is not loopback, or None where there is no network at all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks the kernel which address it would use
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what would change a server: our own settings, and pytest's mark that NiceGUI obeys."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GLASSHOUSE_", "PYTEST_", "NICEGUI_")) and name != "COLUMNS"
    }
    return inherited | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | dict(extra or {})


class ServerFailed(Exception):
    """The server did not come up; the message holds its log."""


class RunningServer:
    """One server process with its folders. A context manager: leaving it stops the process.

    `base_url` has no slash at the end. `folder` holds `data/`, `models/` and `server.log`; a second server that is
    given the same folder finds the chats and models of the first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        lan: bool = False,
        port: int | None = None,
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.models_dir = folder / "models"
        self.log_path = folder / "server.log"
        self.port = port or find_free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._args = [*args, *(["--lan"] if lan else [])]
        self._env = clean_environment(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def start(self, deadline_seconds: float = 60.0) -> Self:
        """Start and wait until `/health` answers and the terminal says so. Raises ServerFailed with the log."""
        self.models_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "webui", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--models-dir", str(self.models_dir)]
        command += [*LIGHT_ENGINE, *self._args]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + deadline_seconds
        while not self._is_healthy():
            if self.process.poll() is not None:
                raise ServerFailed(f"the server ended with code {self.process.returncode}\n{self.log}")
            if time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise ServerFailed(f"the server did not answer within {deadline_seconds:.0f} s\n{self.log}")
            time.sleep(0.05)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM, deadline_seconds: float = 10.0) -> int:
        """Send a signal and wait for the end; a server that does not obey is killed. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerFailed(f"the server did not stop within {deadline_seconds:.0f} s\n{self.log}") from None

    def _is_healthy(self) -> bool:
        try:
            answer = httpx.get(f"{self.base_url}/health", timeout=2, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success and "is running" in self.log

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
