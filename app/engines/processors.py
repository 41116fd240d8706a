"""How many processors this process may use, and what they can compute."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
DESCRIPTION = Path("/proc/cpuinfo")
# Those that decide which engine is the fastest.
ABILITIES = frozenset(
    {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
    | {"asimddp", "bf16", "i8mm", "sve", "sve2"}
)


def available(cgroups: Path = CGROUPS) -> int:
    """Those that the process may run on at once, within the container's limit; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = limit(cgroups)
    return max(1, min(allowed or 1, int(share) if share else allowed or 1))


def limit(cgroups: Path) -> float | None:
    """How many processors' time a container may use; None where there is no limit."""
    quota, period = (
        read(cgroups / "cpu.max")
        or (read(cgroups / "cpu/cpu.cfs_quota_us") + read(cgroups / "cpu/cpu.cfs_period_us"))
        or ("max", "1")
    )
    return None if quota in ("max", "-1") else int(quota) / int(period)


def read(file: Path) -> tuple[str, ...]:
    return tuple(file.read_text().split()) if file.is_file() else ()


def kind(description: Path = DESCRIPTION) -> str:
    """The processor, by what decides the speed of engines."""
    return "-".join([machine(), *sorted(abilities(description))])


def machine() -> str:
    return platform.machine() or "unknown"


def abilities(description: Path = DESCRIPTION) -> frozenset[str]:
    words = description.read_text().split() if description.is_file() else []
    return ABILITIES.intersection(words)
