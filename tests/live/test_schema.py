"""The OpenAPI schema against the live service: nothing undocumented, nothing that breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.cli import main
from tests import models
from tests.live.service import running

# Without the phase that sends every boundary of the schema.
BRIEFLY = ("--phases=examples,fuzzing", "--max-examples=3")
ROOT = str(Path(__file__).parents[2])


def test_schemathesis_finds_no_5xx_and_no_undocumented_answer(tmp_path: Path) -> None:
    """So many examples an operation; the coverage phase adds every boundary of the schema."""
    explore(tmp_path, None, "--exclude-tag=dialects", "--max-examples=20")


def test_schemathesis_finds_no_operation_that_ignores_the_key(tmp_path: Path) -> None:
    explore(tmp_path, "hunter2", "--exclude-tag=dialects", *BRIEFLY)


def test_schemathesis_finds_no_fault_in_the_dialects_either(tmp_path: Path) -> None:
    explore(tmp_path, None, "--include-tag=dialects", *BRIEFLY)


def explore(tmp_path: Path, key: str | None, *how: str) -> None:
    store = f"sqlite:{tmp_path}/store.db"
    assert main(["ingest", f"{ROOT}/docs/decisions", "--store", store]) == 0
    keys: dict[str, Any] = {"api_keys": key} if key else {}
    model = models.bert(tmp_path / "model")
    with running(store=store, model=model, **keys) as service:
        ended = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{service.url}/openapi.json",
                "--checks=all",
                "--request-timeout=60",  # a busy machine ranks its longest questions in that
                "--max-response-time=60",
                *how,
                "--seed=1",
                "--continue-on-failure",
                *([f"--header=Authorization: Bearer {key}"] if key else []),
            ],
            cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.live.schema_hooks", "PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout
    assert "generated" in ended.stdout
