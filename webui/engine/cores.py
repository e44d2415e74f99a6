"""How many threads an engine uses when nobody said: the cores that this process may use, siblings counted once."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count_usable_cores() -> int:
    """Physical cores within the affinity mask and the cgroup's quota; at least 1."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return max(1, min(len({_core_of(cpu) for cpu in usable}), _quota()))


def _core_of(cpu: int) -> str:
    """The threads that share a core name the same siblings; without a topology each thread is a core."""
    try:
        return (_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Whole CPUs that the cgroup grants; many when it grants no quota."""
    try:
        limit, period = _CGROUP_QUOTA.read_text().split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return 1_000_000
