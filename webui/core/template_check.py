"""Asks the engine's sandbox, in a process of its own, whether a chat template that somebody wrote works.

It does not know Jinja. A template that hangs or ends that process is as broken as one that does not compile.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from webui.core.engine_death import explain_death
from webui.errors import BrokenTemplate

CHECK_COMMAND = (sys.executable, "-m", "webui.engine.template_check")
CHECK_SECONDS = 30.0

CheckTemplate = Callable[[str], Awaitable[None]]


async def check_template(source: str) -> None:
    """Returns when the template works. Raises BrokenTemplate with the reason, and the line where one is to blame."""
    process = await asyncio.create_subprocess_exec(
        *CHECK_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is not for it
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            output, _ = await process.communicate(source.encode("utf-8", "replace"))
    except TimeoutError:
        raise BrokenTemplate("it does not come to an end") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        fault = json.loads(output)
    except ValueError:
        raise BrokenTemplate(explain_death(process.returncode or 0)) from None
    if fault:
        raise BrokenTemplate(fault["reason"], fault["line"])
