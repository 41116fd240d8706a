"""`python -m tests.deploy.ray [same] [rolling] [replaced] [scaling] [overhead] [bulk]`: what must
hold of rerankd on Ray, on a real cluster of this machine; without names, all of it.

Each proof prints a line for docs/decisions and docs/how-to/ray.md. Run `overhead` when the machine
has nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests import models
from tests.deploy.ray.bulk import prove_bulk
from tests.deploy.ray.cluster import running_cluster
from tests.deploy.ray.environment import ROOT
from tests.deploy.ray.overhead import measure_overhead
from tests.deploy.ray.proofs import (
    QUERIES,
    TEXTS,
    Bench,
    prove_replaced,
    prove_rolling,
    prove_same,
    prove_scaling,
)
from tests.reliability.history.truth import Truth

PROOFS: Mapping[str, Callable[[Bench], str]] = {
    "same": prove_same,
    "rolling": prove_rolling,
    "replaced": prove_replaced,
    "scaling": prove_scaling,
    "overhead": measure_overhead,
}
BULK = "bulk"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.deploy.ray", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PROOFS, BULK], metavar="NAME")
    names = parser.parse_args(argv).names or [*PROOFS, BULK]
    os.environ["PYTHONPATH"] = str(ROOT)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="rerankd-ray-") as name:
        model = models.bert(Path(name) / "model")
        if BULK in names:
            failed += report(BULK, lambda: prove_bulk(model, Path(name)))
        if wanted := [proof for proof in names if proof != BULK]:
            truth = Truth.compute(model, QUERIES, TEXTS, seed=1)
            with running_cluster() as cluster:
                bench = Bench(cluster, model, truth)
                for proof in wanted:
                    failed += report(proof, lambda proof=proof: PROOFS[proof](bench))  # type: ignore[misc]
    return 1 if failed else 0


def report(name: str, prove: Callable[[], str]) -> bool:
    """Whether it failed."""
    started = time.monotonic()
    try:
        text = prove()
    except AssertionError as error:
        print(f"ray {name}: FAILED: {error}", flush=True)
        return True
    print(f"ray {name} ({time.monotonic() - started:.0f} s): {text}", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
