"""Converts a model and measures its engines, as a process that gives its memory back.

python -m app.engines.child SPEC
"""

from __future__ import annotations

import os
import sys

from app.engines.spec import ModelSpec

STEP = "step: "
# The service, which is answering meanwhile, comes first.
NICENESS = 19


def main(text: str) -> None:
    from app.engines.loading import benchmark_results, load  # noqa: PLC0415 (only here)

    os.nice(NICENESS)
    spec = ModelSpec.from_json(text)
    load(spec, lambda step: print(f"{STEP}{step}", flush=True))  # noqa: T201
    if not benchmark_results(spec):
        sys.exit("what was measured could not be kept")


if __name__ == "__main__":
    main(sys.argv[1])
