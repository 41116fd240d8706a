"""Fail each call of each journey in turn, with every way in which an engine fails.

python -m tests.reliability.nth_failure
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests import models
from tests.reliability.nth_failure.journeys import JOURNEYS
from tests.reliability.nth_failure.run import fail_each_call

ENGINE_FAULTS = ("raise", "out of memory", "nan", "too few")


def main() -> int:
    logging.disable(logging.CRITICAL)
    total = 0
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model").mkdir()
        model = models.bert(Path(name) / "model")
        for kind in ENGINE_FAULTS:
            for number, journey in enumerate(JOURNEYS):
                folder = Path(name) / f"{kind} {number}"
                folder.mkdir()
                run = asyncio.run(fail_each_call(journey, model, folder, kind))
                total += run.failures.total()
                print(f"{kind:14} {run.line}", flush=True)
    print(f"nth failure: {total} calls failed, each was followed by a right answer, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
