"""A model that comes with the graphs which read its weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engines import loading
from app.engines.backends import REFERENCE
from app.engines.converted_model import read_card
from app.engines.loading import load_soon, open_as_it_came
from app.engines.onnxruntime import ready_made
from app.engines.probe import lists
from app.engines.spec import BUNDLED_FOLDER, ModelSpec
from tests import models
from tests.logged import fields_logged

OPENS_NO_TORCH = """
import sys
from pathlib import Path
from app.engines.loading import load_soon, open_as_it_came
from app.engines.spec import ModelSpec
spec = ModelSpec(device="cpu", engine="auto", engines=Path(sys.argv[1]))
model, is_open = load_soon(spec)
print(model.engine.name, model.engine.dtype, is_open, "torch" in sys.modules)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED_FOLDER, tmp_path / "own"))


def test_its_scores_and_tokens_are_those_of_the_reference() -> None:
    reference = REFERENCE.load(ModelSpec(device="cpu", dtype="float32"))
    ready = open_as_it_came(ModelSpec(device="cpu"))
    assert ready is not None
    assert (ready.architecture, ready.name) == (reference.architecture, reference.name)
    for theirs, ours in zip(lists(reference.encoder), lists(ready.encoder), strict=True):
        for pair, same in zip(theirs, ours, strict=True):
            assert np.array_equal(pair.ids, same.ids)
        np.testing.assert_allclose(
            ready.engine.score(ours), reference.engine.score(theirs), atol=1e-4
        )


def test_the_graphs_that_are_shipped_are_those_that_are_written_now(own: Path) -> None:
    names = ("card.json", "float32.onnx", "float32-lower.onnx", "tail.onnx")
    for name in names:
        (own / name).unlink()
    ready_made.write(own)
    for name in names:
        assert (own / name).read_bytes() == (BUNDLED_FOLDER / name).read_bytes(), name


def test_no_torch_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENS_NO_TORCH, str(tmp_path / "engines")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "onnxruntime float32 True False\n"


def test_a_damaged_graph_is_not_run(
    own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "tail.onnx").write_bytes(b"half a graph")
    loaded = REFERENCE.load(ModelSpec(str(own), device="cpu"))
    monkeypatch.setattr(loading, "load", lambda *_: loaded)
    spec = ModelSpec(str(own), device="cpu", engine="auto", engines=tmp_path / "engines")
    assert load_soon(spec) == (loaded, False)
    (fields,) = fields_logged(caplog, "converted_model_damaged")
    assert fields["reason"] == "tail.onnx is missing or changed"


@pytest.mark.parametrize("named", [{"engine": "torch"}, {"engine": "auto", "dtype": "float32"}])
def test_an_engine_or_dtype_that_is_set_is_waited_for(
    named: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = open_as_it_came(ModelSpec(device="cpu"))
    monkeypatch.setattr(loading, "load", lambda *_: loaded)
    spec = ModelSpec(device="cpu", engines=tmp_path, **named)
    assert load_soon(spec) == (loaded, False)


def test_a_model_without_graphs_is_not_ready_made(tmp_path: Path) -> None:
    folder = models.bert(tmp_path / "model")
    assert read_card(folder) is None
    assert open_as_it_came(ModelSpec(str(folder), device="cpu")) is None
