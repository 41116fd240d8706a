"""kill -9 at random moments."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.crash.subject import about, require
from tests.reliability.crash.workers import Workers

AGAIN = 0.7  # the share of kills after which the next run goes on from what was left


@dataclass(slots=True)
class Tally:
    kills: int = 0  # that came while there was something to kill
    lost: int = 0  # promised steps that are gone, over all kills
    worst: int = 0  # of one kill


class Killing:
    """Kills runs of one subject; each goes on from what the last has left, or begins anew."""

    def __init__(self, workers: Workers, subject: str, tally: Tally) -> None:
        self._workers = workers
        self._subject = subject
        self._tally = tally
        self._root = self._fresh()
        started = time.monotonic()
        workers.work(subject, self._root)
        self._seconds = time.monotonic() - started

    def _fresh(self) -> Path:
        """Of its own: subjects are killed in turns."""
        root = self._workers.prepared(self._subject)
        own = root.with_name(f"{self._subject} killed")
        shutil.rmtree(own, ignore_errors=True)
        root.rename(own)
        return own

    def kill(self, seed: int) -> None:
        """What comes of a seed depends on the machine too: the moment is drawn, not the call."""
        moment = random.Random(seed)
        if moment.random() > AGAIN:
            self._root = self._fresh()
        started = time.monotonic()
        outcome = self._workers.work(
            self._subject, self._root, kill_after=moment.uniform(0, self._seconds)
        )
        if not outcome.killed:  # it takes less by now than the first time
            self._seconds = min(self._seconds, time.monotonic() - started)
        with about("killed"):
            lost = self._workers.check(self._subject, self._root, outcome.done)
            require(lost <= 1, f"{lost} of {outcome.done} promised steps are lost")
        self._tally.kills += outcome.killed
        self._tally.lost += lost
        self._tally.worst = max(self._tally.worst, lost)
