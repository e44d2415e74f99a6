"""What a Linux control group (a container, a systemd slice) allows this process: memory and CPU time.

Reads v1 and v2, and every ancestor group, because the tightest one counts. It knows nothing of the machine outside the
group; without control groups (macOS, Windows, a bare kernel) every answer is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC_CGROUP = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")

_UNLIMITED_FROM = 1 << 60  # v1 writes "no limit" as the largest page-aligned number, v2 writes "max"


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """Bytes. `used` leaves out page cache that the kernel would give up at once."""

    limit: int
    used: int

    @property
    def free(self) -> int:
        return max(0, self.limit - self.used)


def read_memory_limit(proc_cgroup: Path = PROC_CGROUP, root: Path = CGROUP_ROOT) -> MemoryLimit | None:
    """The group with the least room left, or None where nothing limits."""
    limits = []
    for directory in _groups(proc_cgroup, root, "memory"):
        limit = _read_int(directory / "memory.max") or _read_int(directory / "memory.limit_in_bytes")
        if limit is None or limit >= _UNLIMITED_FROM:
            continue
        used = _read_int(directory / "memory.current") or _read_int(directory / "memory.usage_in_bytes") or 0
        stat = _read_table(directory / "memory.stat")
        inactive = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        limits.append(MemoryLimit(limit, max(0, used - inactive)))
    return min(limits, key=lambda each: each.free, default=None)


def read_cpu_limit(proc_cgroup: Path = PROC_CGROUP, root: Path = CGROUP_ROOT) -> float | None:
    """CPUs' worth of time that the group may use (1.5 is one and a half), or None where nothing limits."""
    limits = []
    for directory in _groups(proc_cgroup, root, "cpu"):
        quota, period = [*_read_text(directory / "cpu.max").split(), "", ""][:2]
        if not quota:
            quota = _read_text(directory / "cpu.cfs_quota_us").strip()
            period = _read_text(directory / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # "max" (v2) and "-1" (v1) mean no limit
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _groups(proc_cgroup: Path, root: Path, controller: str) -> Iterator[Path]:
    """The directories of this process's group and its ancestors, for v2 and for v1's `controller`.

    Inside a container the path in /proc may be the host's and not exist here; the mount's root, which is always
    yielded, is then the container's own group.
    """
    for line in _read_text(proc_cgroup).splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        number, controllers, path = parts
        if number == "0" and not controllers:
            mount = root
        elif controller in controllers.split(","):
            mount = root / controllers if (root / controllers).is_dir() else root / controller
        else:
            continue
        group = mount / path.lstrip("/")
        if ".." not in group.parts:
            yield from (each for each in (group, *group.parents) if each.is_relative_to(mount) and each != mount)
        yield mount


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_int(path: Path) -> int | None:
    text = _read_text(path).strip()
    return int(text) if text.isdigit() else None


def _read_table(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
