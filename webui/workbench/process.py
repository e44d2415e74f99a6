"""The workbench as a process: its pipes, its niceness, and that it never outlives its parent.

As in the engine the real stdout is kept on a private descriptor for reports, and descriptor 1 points at stderr, since
C libraries print where they like. It knows nothing of the work itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from webui.errors import GlasshouseError, WorkFailed
from webui.workbench.protocol import (
    MAX_LINE_BYTES,
    AnyOutcome,
    AnyRequest,
    Done,
    Failed,
    Progress,
    Report,
    ReportProgress,
    decode_request,
    encode_line,
)

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_NICENESS = 15  #: SmolLM2 on two cores writes 105-135 tokens/s beside a quantization, and 124-142 alone
_PROGRESS_SECONDS = 0.2

RunRequest = Callable[[AnyRequest, ReportProgress], AnyOutcome]


class ReportPipe:
    """The child's end of the pipe upwards. Progress is passed on a few times a second, everything else at once."""

    def __init__(self, stdout: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stdout = stdout
        self._clock = clock
        self._next_progress = 0.0

    def progress(self, fraction: float, words: str = "") -> None:
        now = self._clock()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_SECONDS
            self.send(Progress(fraction=min(1.0, max(0.0, fraction)), words=words))

    def send(self, report: Report) -> None:
        self._stdout.write(encode_line(report))
        self._stdout.flush()


def run_once(line: bytes, pipe: ReportPipe, run_request: RunRequest) -> bool:
    """Do what the line asks for and say how it ended; False when it failed."""
    try:
        pipe.send(Done(outcome=run_request(decode_request(line), pipe.progress)))
    except GlasshouseError as error:
        pipe.send(Failed(code=error.code, details=error.details))
        return False
    except MemoryError:
        pipe.send(_failed(WorkFailed("memory ran out")))
        return False
    except OSError as error:
        logger.exception("The job failed")
        pipe.send(_failed(WorkFailed(error.strerror or str(error))))
        return False
    return True


def _failed(error: GlasshouseError) -> Failed:
    return Failed(code=error.code, details=error.details)


def serve_process(run_request: RunRequest) -> NoReturn:
    """Do one request; the process ends with it, or when the parent closes the pipe."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    _stand_back()
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    is_done = False
    try:
        line = sys.stdin.buffer.readline(MAX_LINE_BYTES)
        threading.Thread(target=_end_with_stdin, name="parent", daemon=True).start()
        is_done = run_once(line, ReportPipe(stdout), run_request)
    except Exception:
        logger.exception("The job failed")
    os._exit(0 if is_done else 1)


def _stand_back() -> None:
    """Let chats have the processor, and when memory runs out, be the one that the system ends."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _end_with_stdin() -> None:
    """The parent keeps its end open while it wants the job: what ends it on systems without the signal below."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _die_with_parent() -> None:
    """On Linux the kernel ends this process when the parent does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
