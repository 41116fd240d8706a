"""The OpenAPI schema against the live service: nothing undocumented, nothing that breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from tests.live.service import running

ROOT = str(Path(__file__).parents[2])


@pytest.mark.parametrize(("key", "examples"), [(None, 40), ("hunter2", 10)], ids=["open", "locked"])
def test_schemathesis_finds_no_5xx_and_no_undocumented_answer(
    key: str | None, examples: int, tmp_path: Path
) -> None:
    """So many examples an operation; the coverage phase adds every boundary of the schema."""
    explore(tmp_path, key, "--exclude-tag=dialects", f"--max-examples={examples}")


def test_schemathesis_finds_no_fault_in_the_dialects_either(tmp_path: Path) -> None:
    phases = "--phases=examples,fuzzing"
    explore(tmp_path, None, "--include-tag=dialects", phases, "--max-examples=3")


def explore(tmp_path: Path, key: str | None, *how: str) -> None:
    store = f"sqlite:{tmp_path}/store.db"
    assert main(["ingest", f"{ROOT}/docs/decisions", "--store", store]) == 0
    keys: dict[str, Any] = {"api_keys": key} if key else {}
    with running(store=store, **keys) as service:
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
