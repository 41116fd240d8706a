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
    from app.engines.loading import load  # noqa: PLC0415 (only in this process)

    os.nice(NICENESS)
    load(ModelSpec.from_json(text), lambda step: print(f"{STEP}{step}", flush=True))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
