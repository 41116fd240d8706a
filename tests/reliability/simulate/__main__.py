"""Runs of many seeds, each in virtual time.

    python -m tests.reliability.simulate --seed 1 --count 10000000

A failure prints its seed, the fewest requests found that still fail, and the command for them.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from tests.reliability.simulate.hints import check_hints
from tests.reliability.simulate.run import PAIRS, Run, requests_of, simulate
from tests.reliability.simulate.shrink import shrink

PROGRESS_SECONDS = 10.0
HINTS_EVERY = 4  # runs; a hint is put to the test in one of them


@dataclass(slots=True)
class Total:
    runs: int = 0
    requests: int = 0
    pairs: int = 0
    checked: int = 0
    hints: int = 0
    virtual_seconds: float = 0.0
    longest_passed: int = 0

    def add(self, run: Run) -> None:
        self.runs += 1
        self.requests += run.requests
        self.pairs += run.pairs
        self.checked += run.checked
        self.virtual_seconds += run.virtual_seconds
        self.longest_passed = max(self.longest_passed, run.longest_passed)

    def line(self, first: int, seconds: float) -> str:
        return (
            f"simulate: {self.pairs:,} pairs in {self.requests:,} requests of {self.runs:,} runs "
            f"(seeds {first} to {first + self.runs - 1}), {self.checked:,} scores checked, "
            f"{self.hints:,} hints kept, {self.virtual_seconds / 3600:.1f} h of virtual time in "
            f"{seconds:.0f} s ({self.pairs / max(seconds, 1e-9):,.0f} pairs/s): "
            f"0 lost, 0 wrong, all counters back to 0"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.only:
        simulate(options.seed, options.pairs, [int(part) for part in options.only.split(",")])
        print(f"seed {options.seed}: nothing fails")
        return 0
    total, started, shown = Total(), time.monotonic(), time.monotonic()
    seed = options.seed
    while total.pairs < options.count:
        if options.seconds and time.monotonic() - started >= options.seconds:
            break
        try:
            total.add(simulate(seed, options.pairs))
            if total.runs % HINTS_EVERY == 0:
                total.hints += check_hints(seed)
        except BaseException as error:  # noqa: BLE001 (whatever it is, its seed must be told)
            report(seed, options.pairs, error)
            return 1
        seed += 1
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            print(
                f"{total.pairs:,} pairs, {total.runs:,} runs, {shown - started:.0f} s", flush=True
            )
    print(total.line(options.seed, time.monotonic() - started))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.simulate")
    parser.add_argument("--seed", type=int, default=1, help="the first run's")
    parser.add_argument("--count", type=int, default=1_000_000, help="pairs in all")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of one run")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long; 0: never")
    parser.add_argument("--only", default="", help="requests of this one seed, like 3,17,20")
    return parser.parse_args(arguments)


def report(seed: int, pairs: int, error: BaseException) -> None:
    traceback.print_exception(error, file=sys.stdout)
    print(f"FAILED: seed {seed}: {error} {' '.join(getattr(error, '__notes__', ()))}")

    def fails(numbers: Sequence[int]) -> bool:
        try:
            simulate(seed, pairs, numbers)
        except Exception:  # noqa: BLE001 (any failure will do)
            return True
        return False

    numbers = [request.number for request in requests_of(seed, pairs)]
    command = f"python -m tests.reliability.simulate --seed {seed} --pairs {pairs}"
    if fails(numbers):
        kept = shrink(numbers, fails)
        print(f"{len(kept)} of {len(numbers)} requests still fail. To repeat:")
        command += f" --only {','.join(map(str, kept))}"
    else:
        command = f'python -c "from {check_hints.__module__} import *; check_hints({seed})"'
    print(command)


if __name__ == "__main__":
    sys.exit(main())
