"""Mutate the core of ranking and print the score and the survivors.

python -m tests.reliability.mutation [--files scheduler.py pace.py] [--list]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.reliability.mutants.mutant import ROOT, copied
from tests.reliability.mutation.accepted import ACCEPTED
from tests.reliability.mutation.checks import Outcome, outcome_in
from tests.reliability.mutation.mutate import Mutation, mutations

FILES = (
    "abandonment.py",
    "admission.py",
    "batcher.py",
    "cache.py",
    "calls.py",
    "in_flight.py",
    "pace.py",
    "scheduler.py",
    "submission.py",
    "tokenizing.py",
    "turns.py",
)


def mutations_of(name: str) -> list[Mutation]:
    return list(mutations((ROOT / "app/rerank" / name).read_text()))


def tried(name: str) -> Iterator[tuple[Mutation, Outcome]]:
    with copied() as folder:
        path = folder / "app/rerank" / name
        for mutation in mutations_of(name):
            path.write_text(mutation.source)
            yield mutation, outcome_in(folder, name)


def passes_unmutated() -> bool:
    with copied() as folder:
        return outcome_in(folder) == "survived"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutation")
    parser.add_argument("--files", nargs="*", default=FILES, help="of app/rerank")
    parser.add_argument("--list", action="store_true", help="show the mutations and end")
    options = parser.parse_args(arguments)
    if options.list:
        for name in options.files:
            for mutation in mutations_of(name):
                print(f"{name}:{mutation.line}: {mutation.name}")
        return 0
    if not passes_unmutated():
        print("the checks fail without any mutation")
        return 1
    counts, started, unexplained = Counter[str](), time.monotonic(), 0
    for name in options.files:
        for mutation, outcome in tried(name):
            reason = ACCEPTED.get(name, {}).get(mutation.name)
            accepted = outcome == "survived" and reason is not None
            counts["accepted" if accepted else outcome] += 1
            if outcome == "survived" and reason is None:
                unexplained += 1
                print(f"survived: {name}:{mutation.line}: {mutation.name}", flush=True)
        print(f"{name}: so far {dict(counts)}, {time.monotonic() - started:.0f} s", flush=True)
    total = counts.total()
    dead = counts["killed"] + counts["hangs"]
    print(
        f"mutation: {dead} of {total} killed ({100 * dead / total:.1f}%), "
        f"{counts['accepted']} survive with a reason, {unexplained} without"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
