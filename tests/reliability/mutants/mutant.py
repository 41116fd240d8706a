"""One mutant, and the copy of the service that it is put into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[3]
LINKED = ("tests", "pyproject.toml", "deploy", "docs", "README.md", ".cache", "loadtest")
TIMEOUT_SECONDS = 300.0

Outcome = Literal["killed", "hangs", "survived"]
Check = tuple[str, ...]  # what python runs, in the copy's folder; it fails when the mutant shows


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    file: str  # below app/
    old: str
    new: str
    check: Check

    @property
    def occurrences(self) -> int:
        return (ROOT / "app" / self.file).read_text().count(self.old)


def module(name: str, *arguments: str) -> Check:
    return ("-m", name, *arguments)


def tests(*files: str) -> Check:
    """Of fast tests that need no fixture of ours but the backend."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--noconftest", "-p", f"{__package__}.backend")
    return module("pytest", *options, *files)


def simulate(pairs: int) -> Check:
    return module("tests.reliability.simulate", "--count", f"{pairs}", "--pairs", "4000")


CHECK_HINTS = """
from tests.reliability.simulate.hints import check_hints
for seed in range(300):
    check_hints(seed)
"""
HINTS: Check = ("-c", CHECK_HINTS)


@contextmanager
def copied() -> Iterator[Path]:
    """A folder with a copy of `app/` and links to the rest."""
    with tempfile.TemporaryDirectory(prefix="rerankd-mutant-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
        for linked in LINKED:
            if (ROOT / linked).exists():
                (folder / linked).symlink_to(ROOT / linked)
        yield folder


def apply(mutant: Mutant, folder: Path) -> None:
    path = folder / "app" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times")
    path.write_text(text.replace(mutant.old, mutant.new))


def run_check(check: Check, folder: Path, seconds: float = TIMEOUT_SECONDS) -> Outcome:
    process = subprocess.Popen(
        [sys.executable, *check],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return "survived" if process.wait(seconds) == 0 else "killed"
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        process.kill()
        process.wait()


def try_mutant(mutant: Mutant, seconds: float = TIMEOUT_SECONDS) -> tuple[Outcome, float]:
    started = time.monotonic()
    with copied() as folder:
        apply(mutant, folder)
        return run_check(mutant.check, folder, seconds), time.monotonic() - started


def failing_without_mutant(checks: Sequence[Check]) -> list[Check]:
    """Such a check would seem to kill whatever it is given."""
    with copied() as folder:
        return [check for check in checks if run_check(check, folder) != "survived"]
