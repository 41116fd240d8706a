"""Where it was measured: no figure is worth anything without it."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from app.engines import processors

PACKAGES = ("rerankd", "torch", "sentence-transformers", "transformers", "openvino", "onnxruntime")
ABILITIES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def describe() -> dict[str, Any]:
    cpu = read(Path("/proc/cpuinfo"))
    flags = set(field(cpu, "flags").split())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": field(cpu, "model name") or platform.processor() or platform.machine(),
        "cores": processors.available(),
        "abilities": [name for name in ABILITIES if name in flags],
        "memory_gib": memory_gib(),
        "load_before": round(os.getloadavg()[0], 2),  # by others, over the last minute
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := version_of(name))},
    }


def sentence(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['cpu']} "
        f"({', '.join(machine['abilities']) or 'no vector abilities known'}), "
        f"{machine['memory_gib']} GiB, load {machine['load_before']} before the start; "
        f"Python {machine['python']}, {versions}"
    )


def memory_gib() -> int | None:
    total = field(read(Path("/proc/meminfo")), "MemTotal")  # in kB
    return round(int(total.split()[0]) / 2**20) if total else None


def read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def field(text: str, name: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
