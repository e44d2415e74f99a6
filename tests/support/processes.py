"""The child processes of a test: servers and browsers that others share are among them, so one names what is meant."""

from __future__ import annotations

import psutil


def children_with(argument: str) -> list[psutil.Process]:
    """Children of this process that were started with this argument (a module, say) and have not ended."""
    return [child for child in psutil.Process().children() if argument in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
