"""Runs of `rerankd batch` as processes: left alone or killed, and how much memory they take."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

SAMPLE_SECONDS = 0.05
START_SECONDS = 1.0
# The input has rows that cannot be ranked.
EXPECTED_CODE = 3


class Unexpected(Exception):
    """The command ended in another way than it should."""


@dataclass
class Ended:
    seconds: float
    killed: bool
    shards: int = 0
    memory: list[int] = field(default_factory=list)  # bytes

    @property
    def peak(self) -> int:
        return max(self.memory)


@dataclass(frozen=True)
class Moment:
    """When a process is killed: there are so many shards, and a share of the time that the last one
    took has passed; so it is before the end of the next."""

    shards: int
    share: float


@dataclass(frozen=True)
class Command:
    """`flags` name the model."""

    source: Path
    flags: Sequence[str]

    def run(self, out: Path, moment: Moment | None = None) -> Ended:
        """Until it ends, or is killed."""
        words = [sys.executable, "-m", "app.cli", "batch", str(self.source), str(out)]
        log_file = out.parent / f"{out.name}.log"
        started = time.monotonic()
        with log_file.open("ab") as log:
            process = subprocess.Popen([*words, *self.flags], stdout=log, stderr=log)
            try:
                ended = watch(process, out, moment)
            finally:
                process.kill()
                process.wait()
        ended.seconds = time.monotonic() - started
        if not ended.killed and process.returncode != EXPECTED_CODE:
            raise Unexpected(f"exit code {process.returncode}: {log_file.read_text()[-2000:]}")
        return ended

    def run_killed(self, out: Path, kills: int, whole: Ended, seed: int) -> list[Ended]:
        """The same run, killed at random moments of each of its parts, until it ends by itself."""
        chance, runs = random.Random(seed), list[Ended]()
        for kill in range(kills):
            moment = Moment(kill * whole.shards // kills, chance.random())
            runs.append(self.run(out, moment))
            if not runs[-1].killed:
                raise Unexpected(f"the run ended before kill {kill + 1} of {kills}")
        return [*runs, self.run(out)]


def watch(process: subprocess.Popen[bytes], out: Path, moment: Moment | None) -> Ended:
    """A process that has not written a shard yet is killed while it starts."""
    ended = Ended(0.0, killed=False, shards=shards_in(out))
    written: list[float] = []
    due = inf
    while process.poll() is None:
        now, shards = time.monotonic(), shards_in(out)
        ended.memory.append(resident(process.pid))
        if shards > ended.shards:
            ended.shards = shards
            written.append(now)
        if moment is not None and due == inf and shards >= moment.shards:
            took = written[-1] - written[-2] if len(written) > 1 else 0.0
            due = now + moment.share * (took if written else START_SECONDS)
        if now >= due:
            ended.killed = True
            process.kill()
        time.sleep(SAMPLE_SECONDS)
    return ended


def shards_in(out: Path) -> int:
    return len(list(out.glob("part-*.jsonl")))


def resident(process: int) -> int:
    """Bytes in memory; 0 once the process has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * 4096
