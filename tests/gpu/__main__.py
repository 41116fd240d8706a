"""Settle on a machine with a GPU all that other machines cannot tell, in less than ten minutes.

    python -m tests.gpu --out results
    python -m tests.gpu --device cpu --small    # a rehearsal without a GPU

Each step is a process of its own with a time limit, so that one that fails or hangs costs the
others nothing. The results are in OUT/gpu.json after every step.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from app.evaluation.writing import write_json
from loadtest import machine
from tests.gpu import engine, memory, over_http, precision
from tests.gpu.plan import Plan

Results = dict[str, Any]
STEPS: Mapping[str, Callable[[Plan], Results]] = {
    "precision": precision.check,
    "engine": engine.measure,
    "over_http": over_http.measure,
    "memory": memory.check,
}
STEP_SECONDS = 150
REPOSITORY = Path(__file__).parents[2]


def gpu() -> Results | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30),
        "cuda": torch.version.cuda,
    }


def in_process(step: str, plan: Plan, seconds: float) -> Results:
    """The step's results, or why there are none."""
    command = [sys.executable, "-m", "tests.gpu", step, *plan.flags()]
    started = time.monotonic()
    try:
        ended = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | {"RERANKD_DEVICE": plan.device},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {seconds:.0f} s"}
    print(ended.stderr[-4_000:], file=sys.stderr, flush=True)
    took = {"seconds": round(time.monotonic() - started, 1)}
    if ended.returncode:
        return {"failed": ended.stderr.strip()[-2_000:] or f"exit {ended.returncode}", **took}
    results: Results = json.loads(ended.stdout.splitlines()[-1])
    return {**results, **took}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("step", nargs="?", choices=STEPS, help="in this process, and only that")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a rehearsal: does it run?")
    parser.add_argument("--seconds", type=float, default=STEP_SECONDS, help="limit of a step")
    parser.add_argument("--out", type=Path, default=Path(".cache/gpu"), help="folder of gpu.json")
    options = parser.parse_args()
    plan = Plan(options.device, small=options.small)
    if options.step:
        print(json.dumps(STEPS[options.step](plan)))
        return 0
    results: Results = {"machine": machine.describe(), "gpu": gpu(), "small": plan.small}
    for step in STEPS:
        print(f"{step} ...", file=sys.stderr, flush=True)
        results[step] = in_process(step, plan, options.seconds)
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "gpu.json", results)
        print(json.dumps({step: results[step]}, indent=1), flush=True)
    failed = [step for step in STEPS if "failed" in results[step]]
    print(f"failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
