"""An engine process with a model that costs nothing, for `EngineClient(command=FAKE_ENGINE)`.

The model's path says how it behaves: "good" answers, the others show what a process can do to its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.engine.fake_runner import FakeRunner, load_fake
from webui.engine.process import serve_process
from webui.engine.protocol import Load

ROOT = Path(__file__).resolve().parents[2]
FAKE_ENGINE = (
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.process.fake_engine import main; main()",
)


def _flood(load: Load, on_progress: Callable[[float], None]) -> FakeRunner:
    """Print as only a C library can: megabytes, on both streams, with and without ends of lines."""
    for _ in range(100):
        os.write(2, b"x" * 100_000 + b"a line\n" * 1000)
        os.write(1, b"printf from C\n")
    return load_fake(load, on_progress)


def _abort(_load: Load, _on_progress: Callable[[float], None]) -> FakeRunner:
    os.write(2, b"ggml.c:1234: GGML_ASSERT(n_dims == 4) failed\n")
    os.abort()


def _killed(_load: Load, _on_progress: Callable[[float], None]) -> FakeRunner:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _hang(_load: Load, on_progress: Callable[[float], None]) -> FakeRunner:
    on_progress(0.5)
    time.sleep(3600)
    raise AssertionError


def _frozen(load: Load, on_progress: Callable[[float], None]) -> FakeRunner:
    """Answer nothing any more, not even a polite request to end."""
    on_progress(0.5)
    os.kill(os.getpid(), signal.SIGSTOP)
    return load_fake(load, on_progress)


_MODELS = {"good": load_fake, "flood": _flood, "abort": _abort, "killed": _killed, "hang": _hang, "frozen": _frozen}


def main() -> None:
    sys.exit(serve_process(lambda load, on_progress: _MODELS[load.model_path](load, on_progress)))
