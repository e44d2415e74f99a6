"""One request in a workbench process: start it, hear its reports, notice its death, kill it when nobody wants it.

It knows neither files nor queues. Cancelling the caller kills the process at once; what it had written is the caller's
to remove.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence

import msgspec

from webui.core.engine_death import explain_death
from webui.core.line_tail import LineTail
from webui.errors import InvalidRequest, WorkFailed
from webui.workbench.protocol import (
    MAX_LINE_BYTES,
    AnyOutcome,
    Done,
    Failed,
    Progress,
    Request,
    decode_report,
    encode_line,
)

logger = logging.getLogger(__name__)

_END_SECONDS = 5.0
# Small matrix products: one thread takes 1.9 s for those of a merge into SmolLM2, two that wait for each other on two
# busy cores take 13.9 s. Threads that wait spin shorter than an engine's: the cores are the chats'.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "300"}

COMMAND = (sys.executable, "-m", "webui.workbench")


async def run_in_child(
    request: Request, on_progress: Callable[[float, str], None], *, command: Sequence[str] = COMMAND
) -> AnyOutcome:
    """Raises what the child refused with, WorkFailed with its last line when it died, or InvalidRequest for characters
    that are no text."""
    try:
        line = encode_line(request)
    except UnicodeEncodeError:
        raise InvalidRequest("The text contains characters that are not text.") from None
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        env=_ENVIRONMENT | os.environ,
        start_new_session=True,  # Ctrl-C in the terminal is for this process
    )
    assert process.stdin and process.stdout and process.stderr  # noqa: S101 - all three are pipes
    tail = LineTail(logger)
    draining = asyncio.create_task(tail.drain(process.stderr), name=f"workbench {process.pid} stderr")
    try:
        process.stdin.write(line)  # the pipe stays open: its end would end the child
        last = await _listen(process.stdout, on_progress)
        with contextlib.suppress(TimeoutError):  # it has said its last word, so it is about to end
            await asyncio.wait_for(asyncio.gather(process.wait(), draining), _END_SECONDS)
        if last is None:
            raise WorkFailed(_explain(process.returncode or 0, tail.lines))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        draining.cancel()
    if isinstance(last, Failed):
        raise last.error
    return last.outcome


async def _listen(stdout: asyncio.StreamReader, on_progress: Callable[[float, str], None]) -> Done | Failed | None:
    """The last report, or None when the stream ended without one."""
    while line := await stdout.readline():
        try:
            report = decode_report(line)
        except msgspec.DecodeError as error:
            logger.exception("The workbench's report cannot be read")
            raise WorkFailed("its process says what makes no sense") from error
        if not isinstance(report, Progress):
            return report
        on_progress(report.fraction, report.words)
    return None


def _explain(exit_code: int, lines: Sequence[str]) -> str:
    reason = explain_death(exit_code, lines[-10:])
    return f"{reason} (its last words: {lines[-1].strip()[:300]})" if lines else reason
