"""The machine's memory, with the GPUs that NVML does not know: AMD's, Intel's and Apple's, from ggml's list of devices.

NVML is asked in this process; ggml only in a child (`webui.engine.devices`), and only where llama.cpp was built for a
GPU and NVML sees none. It does not know models.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from webui.library.hardware import has_gpu_backend, read_memory
from webui.types import Gpu, Memory

_log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "webui.engine.devices")
_SECONDS = 30  # loading a GPU's driver for the first time may take a while
_FRESH_SECONDS = 3.0  # a list of many models asks for each of them


class Machine:
    """`memory()` is cheap and never waits; `measure()` asks anew, for a thread."""

    def __init__(
        self,
        *,
        command: Sequence[str] = _COMMAND,
        memory: Callable[[], Memory] = read_memory,
        has_backend: Callable[[], bool] = has_gpu_backend,
    ) -> None:
        self._command = tuple(command)
        self._read = memory
        self._has_backend = has_backend
        self._others: tuple[Gpu, ...] = ()
        self._asked_at = -_FRESH_SECONDS
        self._lock = threading.Lock()  # planners run in threads

    def memory(self) -> Memory:
        """As it is now; a GPU that NVML does not know as it was when last measured."""
        memory = self._read()
        return memory if memory.gpus else msgspec.structs.replace(memory, gpus=self._others)

    def measure(self) -> Memory:
        """As it is now, or was a moment ago. Takes its time where a child must be asked."""
        memory = self._read()
        if memory.gpus or not self._has_backend():
            return memory
        with self._lock:
            if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._others = self._ask()
                self._asked_at = time.monotonic()
        return msgspec.structs.replace(memory, gpus=self._others)

    def _ask(self) -> tuple[Gpu, ...]:
        try:
            done = subprocess.run(self._command, capture_output=True, timeout=_SECONDS, check=True)  # noqa: S603 - ours
            gpus = msgspec.json.decode(done.stdout, type=tuple[Gpu, ...])
        except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
            _log.warning("The GPUs could not be listed (%s): counting on the processor alone", error)
            return ()
        return tuple(gpu for gpu in gpus if gpu.total_bytes)
