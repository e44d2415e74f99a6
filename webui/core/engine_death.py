"""Why an engine process ended, in words for people, from its exit code and the last lines of its log."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from webui.errors import GlasshouseError, LoadFailed, OutOfMemory

_OUT_OF_MEMORY = re.compile(r"out of memory|failed to allocate|cannot allocate|bad_alloc|MemoryError", re.IGNORECASE)
_SIGNALS = {
    signal.SIGABRT: "llama.cpp hit an internal error",
    signal.SIGSEGV: "it crashed",
    signal.SIGBUS: "its model file could no longer be read",
    signal.SIGILL: "this processor lacks an instruction that llama.cpp was built for",
    signal.SIGTERM: "another program ended it",
}
if hasattr(signal, "SIGVTALRM"):  # set by engine/template_sandbox.py
    _SIGNALS[signal.SIGVTALRM] = "its chat template did not come to an end"
if hasattr(signal, "SIGKILL"):
    _SIGNALS[signal.SIGKILL] = "the system ended it, most likely because memory ran out"


def explain_death(exit_code: int, lines: Sequence[str] = ()) -> str:
    """Half a sentence that fits into EngineDied. Negative codes are signals, as asyncio reports them."""
    if _OUT_OF_MEMORY.search("\n".join(lines)):
        return "memory ran out"
    if exit_code < 0 and -exit_code in list(_SIGNALS):
        return _SIGNALS[signal.Signals(-exit_code)]
    return "it ended by itself" if exit_code == 0 else f"it hit an internal error, code {exit_code}"


def explain_failed_start(name: str, exit_code: int, lines: Sequence[str]) -> GlasshouseError:
    """The error for an engine that ended while it loaded `name`."""
    was_killed = hasattr(signal, "SIGKILL") and exit_code == -signal.SIGKILL
    if was_killed or _OUT_OF_MEMORY.search("\n".join(lines)):
        return OutOfMemory(name)
    return LoadFailed(
        name, f"{explain_death(exit_code)} while reading the file, which may be damaged or of a kind not supported."
    )
