"""How many processors are ours: a container's share, not the host's count."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available(cgroups: Path = CGROUPS) -> int:
    """As many as the process may run on at once, cut by the container's limit, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = limit(cgroups)
    return max(1, min(allowed or 1, int(share) if share else allowed or 1))


def limit(cgroups: Path) -> float | None:
    """Processors' worth of time that a container is given; None where there is no limit."""
    quota, period = (
        read(cgroups / "cpu.max")
        or (read(cgroups / "cpu/cpu.cfs_quota_us") + read(cgroups / "cpu/cpu.cfs_period_us"))
        or ("max", "1")
    )
    return None if quota in ("max", "-1") else int(quota) / int(period)


def read(file: Path) -> tuple[str, ...]:
    return tuple(file.read_text().split()) if file.is_file() else ()
