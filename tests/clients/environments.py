"""Environments of the clients' own: made once, under .cache, and kept while their pins hold."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "clients"


def python_of(name: str) -> Path:
    """An interpreter with `requirements-NAME.txt` installed."""
    pins = HERE / f"requirements-{name}.txt"
    folder = CACHE / f"{name}-{digest(pins)}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        do(sys.executable, "-m", "venv", folder)
        do(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "-r", pins)
        (folder / ".complete").touch()
    return python


def node_folder() -> Path:
    """A folder with the node_modules of `js/package-lock.json` and the scripts beside them."""
    folder = CACHE / f"js-{digest(HERE / 'js' / 'package-lock.json')}"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "js" / name, folder)
        do("npm", "ci", "--no-audit", "--no-fund", "--silent", cwd=folder)
        (folder / ".complete").touch()
    return folder


def digest(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]


def do(*command: object, cwd: Path | None = None) -> None:
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
