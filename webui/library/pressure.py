"""How much the machine waits for memory: Linux's pressure figures, and what comes back from swap.

https://docs.kernel.org/accounting/psi.html. It knows nothing of models; where a system does not tell, the answer is 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil

PROC_PRESSURE = Path("/proc/pressure/memory")
CGROUP_PRESSURE = Path("/sys/fs/cgroup/memory.pressure")

_AVERAGE = re.compile(r"^some .*?avg10=(\d+(?:\.\d+)?)", re.MULTILINE)


def read_stall_percent(files: tuple[Path, ...] = (PROC_PRESSURE, CGROUP_PRESSURE)) -> float:
    """Of the last ten seconds, the share in which some process waited for memory: of the machine, or of this process's
    control group where that is worse."""
    return max((_read(file) for file in files), default=0.0)


def read_swapped_in_bytes() -> int:
    """Bytes that came back from swap since the machine started."""
    try:
        return int(psutil.swap_memory().sin)
    except (OSError, RuntimeError):
        return 0


def _read(file: Path) -> float:
    try:
        found = _AVERAGE.search(file.read_text())
    except OSError:
        return 0.0
    return float(found[1]) if found else 0.0
