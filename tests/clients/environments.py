"""Environments of the clients' own: made once, under .cache, and kept while their pins hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "clients"
# It installs these environments in a tenth of the time that pip takes.
UV = (sys.executable, "-m", "uv", "--quiet", "--system-certs")


def python_of(name: str) -> Path:
    """An interpreter with `requirements-NAME.txt` installed."""
    pins = HERE / f"requirements-{name}.txt"
    folder = CACHE / f"{name}-{digest(pins)}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        do(*UV, "venv", "--python", sys.executable, folder)
        do(*UV, "pip", "install", "--python", python, "--no-deps", "-r", pins, *mirror())
        (folder / ".complete").touch()
    return python


def mirror() -> list[str]:
    """The package mirror that pip is configured with, which uv does not read."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    index = os.environ.get("PIP_INDEX_URL") or configured.strip()
    return ["--default-index", index] if index else []


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
