"""The engine as a process: its pipes, its signals, and that it never outlives its parent.

C libraries print where they like; so the real stdout is kept on a private descriptor for frames, and descriptor 1
points at stderr from the first moment. A reader thread takes commands while the model computes. When the parent closes
the pipe or says Shutdown, the loop gets a moment to bring states to disk; then the process exits, whatever it is doing:
the memory is wanted back. It does not know models.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from typing import BinaryIO, NoReturn

from webui.engine.boot import LoadModel, run_loop
from webui.engine.protocol import Command, Loaded, Report, Shutdown, encode_frame, read_command

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 1.5  #: for the end of a step and for states on their way to disk; the parent terminates after 2


class Pipe:
    """The child's ends of the two pipes: commands come in on a thread, reports go out in the loop's own."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._frames: list[bytes] = []
        self._is_loaded = False

    def start(self) -> None:
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def receive(self, timeout: float | None) -> Command | None:
        try:
            return self._commands.get(block=timeout != 0, timeout=timeout or None)
        except queue.Empty:
            return None

    def send(self, report: Report) -> None:
        self._is_loaded = self._is_loaded or isinstance(report, Loaded)
        self._frames.append(encode_frame(report))

    def flush(self) -> None:
        """All reports of a step leave in one write."""
        if self._frames:
            self._stdout.write(b"".join(self._frames))
            self._stdout.flush()
            self._frames.clear()

    def _read(self) -> None:
        try:
            while (command := read_command(self._stdin)) is not None and not isinstance(command, Shutdown):
                self._commands.put(command)
        except Exception:
            logger.exception("The parent's commands cannot be read")
            os._exit(1)
        if self._is_loaded:  # before that there is nothing to save
            self._commands.put(Shutdown())
            time.sleep(_GRACE_SECONDS)  # the loop's end ends the process, and this thread with it
        os._exit(0)  # not sys.exit: the loop's thread may be inside C code for a long time


def serve_process(load_model: LoadModel) -> NoReturn:
    """Be an engine until the parent is gone."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it stops its engines in order
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    pipe = Pipe(open(0, "rb", buffering=0, closefd=False), stdout)  # noqa: SIM115 - a descriptor, for life
    pipe.start()
    try:
        code = 0 if run_loop(pipe, load_model) else 1
    except BrokenPipeError:
        code = 0
    os._exit(code)  # the memory goes back as a whole: freeing it piece by piece would take longer


def _die_with_parent() -> None:
    """On Linux the kernel ends this process when the parent does, even in the middle of a load."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
