"""An installation without torch serves: the parts that need no environment of their own.

`make slim` builds such an environment and measures it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import INSTALL_TORCH
from deploy import trim
from tests import models, published
from tests.live.service import running

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "sentence_transformers"):
    sys.modules[name] = None
"""
QUESTION = {"query": "how long is a loan", "documents": ["a loan is four weeks", "bananas"]}


@pytest.fixture
def without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each process that is started from here lacks the packages, and so do its children."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    return tmp_path


def info_of(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/info", timeout=60).json()
    return answer


def test_the_bundled_model_serves_and_tells_which_libraries_there_are(without_torch: Path) -> None:
    with running(wait=False, engines=without_torch / "engines") as service:
        service.wait_until_ready()
        answer = httpx.post(f"{service.url}/rerank", json=QUESTION, timeout=60).json()
        info = info_of(service.url)
    assert answer["results"][0]["index"] == 0
    assert (info["engine"], info["dtype"]) == ("onnxruntime", "float32")
    assert set(info["libraries"]) >= {"onnxruntime", "openvino"}


def test_the_engine_of_a_model_with_a_graph_is_chosen_in_advance(without_torch: Path) -> None:
    folder, engines = published.with_graph(without_torch / "model"), without_torch / "engines"
    command = [sys.executable, "-m", "app.cli", "optimize", str(folder), "--json"]
    done = subprocess.run(
        [*command, "--engines", str(engines)], capture_output=True, text=True, check=True
    )
    results = json.loads(done.stdout)
    assert {result["engine"] for result in results} == {"onnxruntime", "openvino"}
    assert "onnx/model.onnx" in {result["file"] for result in results}
    with running(model=folder, engine="auto", engines=engines) as service:
        info = info_of(service.url)
        answer = httpx.post(f"{service.url}/rerank", json=QUESTION, timeout=60).json()
    assert not info["choosing_engine"]
    assert info["engine"] in {"onnxruntime", "openvino"}
    assert len(answer["results"]) == 2
    assert "choosing_engine" not in {entry["event"] for entry in service.log}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "has to be converted, which needs PyTorch"),
        ({"engine": "torch"}, "engine torch cannot run"),
    ],
)
def test_what_needs_torch_ends_the_start_with_the_remedy(
    without_torch: Path, settings: dict[str, str], reason: str
) -> None:
    folder = models.bert(without_torch / "model")
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--model", str(folder)]
    # Nothing that a test with torch has measured.
    command += ["--engines", str(without_torch / "engines")]
    done = subprocess.run(
        [*command, "--device", "cpu", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert reason in last
    assert INSTALL_TORCH in last


@pytest.mark.usefixtures("without_torch")
def test_a_command_that_trains_names_the_remedy(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    row = '{"query": "q", "positive": ["p"], "negative": ["n"]}'
    rows = (row.replace('"q"', f'"q{number}"') for number in range(30))
    data.write_text("\n".join(rows))
    command = [sys.executable, "-m", "app.cli", "finetune", str(data), "--out", str(tmp_path / "o")]
    done = subprocess.run(
        [*command, "--device", "cpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert INSTALL_TORCH in done.stderr


def test_the_remedy_installs_what_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for package in re.findall(r"'([^']+)'", INSTALL_TORCH):
        assert package in project["dependencies"]


def test_what_is_trimmed_is_there_and_nothing_else_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "openvino/libs/libopenvino_intel_cpu_plugin.so"
    gone = tmp_path / "openvino/libs/libopenvino_intel_gpu_plugin.so"
    kept.parent.mkdir(parents=True)
    for file in (kept, gone):
        file.write_bytes(b"12345")
    assert trim.trim(tmp_path) == 5
    assert (kept.exists(), gone.exists()) == (True, False)
    assert trim.trim(tmp_path) == 0


def test_each_pattern_of_what_is_trimmed_matches_what_is_installed() -> None:
    import openvino  # noqa: PLC0415 (only for its place)

    site_packages = Path(openvino.__file__).parents[1]
    assert [pattern for pattern in trim.UNUSED if not any(site_packages.glob(pattern))] == []
