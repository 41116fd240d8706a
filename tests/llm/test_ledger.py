"""The budget's file when a process is killed, or the power goes, at any step of a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.llm import ledger
from app.llm.ledger import Page

MONDAY = date(2026, 11, 23)
OLD, NEW = Page(MONDAY, 10), Page(MONDAY, 25)

# Forks a child for each line of a change, and has it killed before that line. Prints what is left.
CRASHES = """
import json, os, signal, sys
from datetime import date
from pathlib import Path
from app import durable
from app.llm import ledger

file, tokens = Path(sys.argv[1]), []
traced = {ledger.__file__, durable.__file__}
old, new = ledger.Page(date(2026, 11, 23), 10), ledger.Page(date(2026, 11, 23), 25)

def change(dies_at):
    lines = 0
    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename not in traced:
            return None
        lines += event == "line"
        if lines == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    with ledger.locked(file):
        ledger.write(file, new)
    os._exit(0)

for dies_at in range(1, 1000):
    with ledger.locked(file):
        ledger.write(file, old)
    if not (child := os.fork()):
        change(dies_at)
    _, status = os.waitpid(child, 0)
    tokens.append(ledger.read(file).tokens)
    if status == 0:
        break
print(json.dumps(tokens))
"""

# Holds tokens once, and after a second line until none are left, as one process of several does.
HOLDS = """
import asyncio, sys
from datetime import date
from pathlib import Path
from app.llm.budget import Budget, BudgetSpent

async def main():
    budget, held = Budget(2000, Path(sys.argv[1]), lambda: date(2026, 11, 23)), 0
    try:
        while True:
            await budget.hold(10)
            held += 10
            if held == 10:
                print("holds", flush=True)
                sys.stdin.readline()
    except BudgetSpent:
        print(held)

asyncio.run(main())
"""


def test_a_kill_before_any_line_of_a_change_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CRASHES, str(tmp_path / "budget.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    tokens = json.loads(done.stdout)
    assert len(tokens) > 15
    assert tokens == sorted(tokens)
    assert set(tokens) == {10, 25}


def test_processes_that_share_a_file_keep_the_limit_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "budget.json")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:  # each is inside before any goes on, however slow the machine is
        assert process.stdout.readline() == "holds\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    held = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(held) == 2000


class Disk:
    """Notes what reaches the disk, in order; and what may lie there after a power cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.steps: list[str] = []
        self._file = file
        self._fsync, rename = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", self.fsync)

        def replace(path: Path, target: Path) -> Path:
            self.steps.append(f"rename {path.name}")
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", replace)

    def fsync(self, handle: int) -> None:
        self._fsync(handle)
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        self.steps.append(f"sync {name}")

    def after_a_power_cut(self, steps: int) -> set[str]:
        """A rename may or may not have happened; what was not synced may be empty."""
        past = self.steps[:steps]
        states = {"old"}
        if "rename budget.json.new" in past:
            synced = "sync budget.json.new" in past[: past.index("rename budget.json.new")]
            states.add("new" if synced else "empty")
        if f"sync {self._file.parent.name}" in past:
            states.discard("old")
        return states


def test_a_power_cut_at_any_step_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "budget.json"
    ledger.write(file, OLD)
    disk = Disk(monkeypatch, file)
    ledger.write(file, NEW)
    assert disk.steps == [
        "sync budget.json.new",
        "rename budget.json.new",
        f"sync {tmp_path.name}",
    ]
    outcomes = [disk.after_a_power_cut(steps) for steps in range(len(disk.steps) + 1)]
    assert outcomes == [{"old"}, {"old"}, {"old", "new"}, {"new"}]


def test_every_beginning_of_a_written_file_counts_as_torn() -> None:
    whole = b'{"day":"2026-11-23","tokens":25}'
    for length in range(len(whole)):
        with pytest.raises(ledger.Torn):
            ledger.parse(whole[:length])
    assert ledger.parse(whole) == NEW
