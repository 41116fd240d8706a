"""An environment of its own for a peer: made once, under .cache, and kept while its pins hold."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "loadtest"


class NotInstalled(Exception):
    """The text is the end of what pip said."""


def python_of(name: str) -> Path:
    """An interpreter with `requirements-NAME.txt` installed."""
    pins = HERE / f"requirements-{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        do(sys.executable, "-m", "venv", folder)
        do(python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", pins)
        (folder / ".complete").touch()
    return python


def do(*command: object) -> None:
    ended = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise NotInstalled(lines[-1])
