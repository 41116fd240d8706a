"""`python -m tests.reliability.crash --seed 1 --count 300`: nothing is torn, and next to nothing
lost, whenever a process is killed, a call fails or the machine stops.

It prints one line for docs/explanation/reliability.md, and for each failure the seed that repeats
it: `--seed SEED --count 1 --only SUBJECT`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.reliability.crash.faults import each_fault
from tests.reliability.crash.kills import Killing, Tally
from tests.reliability.crash.replay import crashes
from tests.reliability.crash.shim import Mode, NoCompiler, compiled
from tests.reliability.crash.subject import Torn, about
from tests.reliability.crash.subjects import FORKED
from tests.reliability.crash.workers import Workers, workers

MEMORY = Path("/dev/shm")
COMMANDS = {"ingest command": 40, "optimize command": 10, "serve command": 30}
SHARE = 20  # of kills for each subject that is forked, beside those of commands
MAX_RUNS = 20  # for each kill: a run may end before its moment comes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.reliability.crash", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300, help="kills [300]")
    parser.add_argument("--only", choices=[*FORKED, *COMMANDS], help="kill this one alone")
    parser.add_argument("--kills-only", action="store_true", help="no calls that fail, no replay")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    try:
        with scratch() as folder:
            tally = kill(folder / "kills", arguments.seed, arguments.count, arguments.only)
            faults, stops = (0, 0) if arguments.kills_only else fail_and_stop(folder / "faults")
    except Torn as error:
        sys.stdout.write(f"crash: FAILED: {error}\n")
        return 1
    sys.stdout.write(
        f"crash: seed {arguments.seed}, kills {tally.kills}, promised steps lost {tally.lost} "
        f"(at most {tally.worst} by one), failed calls {faults}, stops of the machine {stops}, "
        f"torn files 0, {time.monotonic() - started:.0f} s\n"
    )
    return 0


@contextmanager
def scratch() -> Iterator[Path]:
    """In memory where that can be had: what matters is the order of calls, not the disk."""
    folder = Path(
        tempfile.mkdtemp(prefix="rerankd-crash-", dir=MEMORY if MEMORY.is_dir() else None)
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill(folder: Path, seed: int, count: int, only: str | None) -> Tally:
    """Each run has a seed of its own, counted from the first."""
    tally = Tally()
    with workers(folder, None) as forks:
        kinds = Kinds(folder, forks, tally)
        for number in range(seed, seed + MAX_RUNS * count):
            name = only or drawn(number)
            with about(f"--seed {number} --count 1 --only '{name}' --kills-only"):
                kinds.killing(name)(number)
            if (number - seed) % 20 == 19:
                sys.stderr.write(f"{number - seed + 1} runs, {tally.kills} of {count} kills\n")
            if tally.kills >= count:
                return tally
    raise Torn(f"{MAX_RUNS * count} runs gave {tally.kills} kills")


def drawn(seed: int) -> str:
    weights = dict.fromkeys(FORKED, SHARE) | COMMANDS
    return random.Random(f"kind {seed}").choices(list(weights), list(weights.values()))[0]


class Kinds:
    """What can be killed, each made ready once it is needed."""

    def __init__(self, folder: Path, forks: Workers, tally: Tally) -> None:
        self._folder = folder
        self._forks = forks
        self.tally = tally
        self._ready: dict[str, Callable[[int], None]] = {}

    def killing(self, name: str) -> Callable[[int], None]:
        if name in COMMANDS and name not in self._ready:
            from tests.reliability.crash.commands import of_site  # noqa: PLC0415 (torch)

            self._ready |= of_site(self._folder / "site", self.tally)
        elif name not in self._ready:
            self._ready[name] = Killing(self._forks, f"long {name}", self.tally).kill
        return self._ready[name]


def fail_and_stop(folder: Path) -> tuple[int, int]:
    try:
        folder.mkdir()
        library = compiled(folder)
    except NoCompiler as error:
        sys.stderr.write(f"{error}: no call is failed, and no stop replayed\n")
        return 0, 0
    faults = stops = 0
    with workers(folder / "workers", library) as preloaded:
        for name in FORKED:
            sys.stderr.write(f"calls and stops: {name}\n")
            faults += sum(1 for mode in Mode for _ in each_fault(preloaded, name, mode))
            stops += sum(1 for _ in crashes(preloaded, name))
    return faults, stops


if __name__ == "__main__":
    sys.exit(main())
