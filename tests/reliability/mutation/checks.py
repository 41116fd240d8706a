"""What must notice a mutation: the fast unit tests, then a short simulation. Run in a child."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

import httpx  # noqa: F401
import hypothesis  # noqa: F401  (imported once, before the first child is forked)
import numpy as np  # noqa: F401
import pytest

Outcome = Literal["killed", "hangs", "survived"]

UNIT_TESTS = (
    "test_abandonment.py",
    "test_scheduler.py",
    "test_admission.py",
    "test_cache.py",
    "test_batcher.py",
    "test_batcher_refusal.py",
    "test_batcher_faults.py",
    "test_newest_first.py",
    "test_reranker_sharing.py",
    "test_turns.py",
    "test_tokenizing.py",
    "test_health.py",
    "test_calls.py",
)
BACKEND = "tests.reliability.mutants.backend"
SEEDS = range(1, 9)
PAIRS = 2_500
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.02


def run_tests(folder: Path, mutated: str) -> bool:
    """Those of the mutated file first: most mutations end there."""
    names = sorted(UNIT_TESTS, key=lambda name: Path(mutated).stem not in name)
    paths = [str(folder / "tests/rerank" / name) for name in names]
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--noconftest"]
    return pytest.main([*options, "-p", BACKEND, *paths]) == 0


def run_simulation() -> bool:
    from tests.reliability.simulate.hints import check_hints  # noqa: PLC0415 (of the copy)
    from tests.reliability.simulate.run import simulate  # noqa: PLC0415

    for seed in SEEDS:
        simulate(seed, PAIRS)
        check_hints(seed)
    return True


def outcome_in(folder: Path, mutated: str = "", seconds: float = TIMEOUT_SECONDS) -> Outcome:
    """A fork has the libraries imported already, and nothing of the service."""
    pid = os.fork()
    if pid == 0:
        os._exit(_child(folder, mutated))
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "killed"
        time.sleep(POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"


def _child(folder: Path, mutated: str) -> int:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.partition(".")[0] in {"app", "tests"}]:
        del sys.modules[name]
    try:
        return 0 if run_tests(folder, mutated) and run_simulation() else 1
    except BaseException:  # noqa: BLE001 (a child ends with its verdict, whatever happens)
        return 1
