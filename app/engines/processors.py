"""How many processors this process may use, and what they can compute."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
DESCRIPTION = Path("/proc/cpuinfo")
# Those that decide which engine is the fastest.
ABILITIES = frozenset(
    {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
    | {"asimddp", "bf16", "i8mm", "sve", "sve2"}
)
# What describes Apple's processors since macOS 12, and its names for the same.
SYSCTL = Path("/usr/sbin/sysctl")
APPLE_NAMES = {"FEAT_DotProd": "asimddp", "FEAT_BF16": "bf16", "FEAT_I8MM": "i8mm"}


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


def kind(description: Path = DESCRIPTION, sysctl: Path = SYSCTL) -> str:
    """The processor, by what decides the speed of engines."""
    return "-".join([machine(), *sorted(abilities(description, sysctl))])


def machine() -> str:
    return platform.machine() or "unknown"


def abilities(description: Path = DESCRIPTION, sysctl: Path = SYSCTL) -> frozenset[str]:
    """macOS has no such description, but a program that knows."""
    if description.is_file():
        return ABILITIES.intersection(description.read_text().split())
    return apple_abilities(sysctl)


@cache
def apple_abilities(sysctl: Path) -> frozenset[str]:
    if not sysctl.is_file():
        return frozenset()
    command = [str(sysctl), "hw.optional.arm"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    lines = set(output.splitlines())
    return frozenset(
        ability for name, ability in APPLE_NAMES.items() if f"hw.optional.arm.{name}: 1" in lines
    )
