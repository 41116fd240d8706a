"""Put every mutant into a copy of `app/`, run its check, print a table.

python -m tests.reliability.mutants [--only PART_OF_A_NAME]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.reliability.mutants.catalog import MUTANTS
from tests.reliability.mutants.mutant import failing_without_mutant, try_mutant


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutants")
    parser.add_argument("--only", default="", help="those whose name holds this")
    options = parser.parse_args(arguments)
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    for check in failing_without_mutant(sorted({mutant.check for mutant in mutants})):
        print(f"fails without any mutant: python {' '.join(check)}")
        return 1
    survivors = 0
    for mutant in mutants:
        outcome, seconds = try_mutant(mutant)
        survivors += outcome == "survived"
        print(f"{outcome:9} {seconds:6.1f} s  {mutant.file:28} {mutant.name}", flush=True)
    print(f"mutants: {len(mutants) - survivors} of {len(mutants)} killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
