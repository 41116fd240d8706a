"""Runs of `rerankd batch` as processes: left alone or killed, and how much memory they take."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.25
# The input has rows that cannot be ranked.
EXPECTED_CODE = 3


class Unexpected(Exception):
    """The command ended in another way than it should."""


@dataclass
class Ended:
    seconds: float
    killed: bool
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes

    @property
    def peak(self) -> int:
        return max((size for _, size in self.memory), default=0)


@dataclass(frozen=True)
class Command:
    """`flags` name the model."""

    source: Path
    flags: Sequence[str]

    def run(self, out: Path, kill_after: float | None = None) -> Ended:
        """Until it ends, or until it is killed after so many seconds from its first shard on."""
        words = [sys.executable, "-m", "app.cli", "batch", str(self.source), str(out)]
        started = time.monotonic()
        with (out.parent / f"{out.name}.log").open("ab") as log:
            process = subprocess.Popen([*words, *self.flags], stdout=log, stderr=log)
            ended = Ended(0.0, killed=False)
            moment = None if kill_after is None else kill_after
            while process.poll() is None:
                now = time.monotonic() - started
                if moment is not None and now >= moment:
                    process.kill()
                    ended.killed = True
                ended.memory += [(now, size)] if (size := resident(process.pid)) else []
                time.sleep(SAMPLE_SECONDS if moment is None else min(0.01, SAMPLE_SECONDS))
        ended.seconds = time.monotonic() - started
        if not ended.killed and process.returncode != EXPECTED_CODE:
            tail = (out.parent / f"{out.name}.log").read_text()[-2000:]
            raise Unexpected(f"exit code {process.returncode}: {tail}")
        return ended

    def run_killed(self, out: Path, kills: int, seconds: float, seed: int) -> list[Ended]:
        """The same run, killed so many times at random moments, until it ends by itself."""
        chance = random.Random(seed)
        runs: list[Ended] = []
        while sum(run.killed for run in runs) < kills:
            run = self.run(out, chance.uniform(0.05, 1.0) * seconds / (kills + 1))
            runs.append(run)
            if not run.killed:
                raise Unexpected(f"the run ended before kill {len(runs)} of {kills}")
        runs.append(self.run(out))
        return runs


def resident(process: int) -> int:
    """Bytes in memory; 0 once the process has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * 4096
