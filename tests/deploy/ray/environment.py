"""Ray, installed beside the packages of development: they share every version, and Ray is large.

The folder comes first in PYTHONPATH of the processes that need it; processes that Ray starts
inherit it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.clients.environments import UV, digest, do, mirror

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PINS = HERE / "requirements.txt"
RAY = (sys.executable, "-m", "ray.scripts.scripts")
SERVE = (sys.executable, "-m", "ray.serve.scripts")


def packages() -> Path:
    folder = ROOT / ".cache" / "ray" / digest(PINS)
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        do(
            *(*UV, "pip", "install", "--python", sys.executable, "--target", folder),
            *("--no-deps", "-r", PINS, *mirror()),
        )
        (folder / ".complete").touch()
    return folder


def environ(**more: str) -> dict[str, str]:
    """Of a process that imports Ray."""
    return os.environ | {
        "PYTHONPATH": f"{ROOT}:{packages()}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # by a token, otherwise
        **more,
    }
