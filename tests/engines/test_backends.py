"""A backend is one folder and one line: a third one needs no change anywhere else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from app.engines import Engine, benchmark, loading
from app.engines.backends import BACKENDS, REFERENCE, converters, dtype_names, engine_names
from app.engines.benchmark import Lists
from app.engines.converted_model import converted_folder
from app.engines.loading import benchmark_results, load
from app.engines.probe import QUESTIONS, passages
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting
from app.settings import Settings
from tests import models
from tests.engines.numpy_backend import NumpyBackend
from tests.engines.ranking import of_any_model, scores
from tests.logged import fields_logged


def numpy_is_fastest(engine: Engine, lists: Lists) -> float:
    return 100.0 if engine.name == "numpy" else 10.0


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> NumpyBackend:
    """The one line."""
    backend = NumpyBackend()
    monkeypatch.setitem(BACKENDS, backend.name, backend)
    monkeypatch.setattr(benchmark, "pace", numpy_is_fastest)
    return backend


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    model = models.bert(tmp_path / "model")
    return ModelSpec(str(model), device="cpu", engine="auto", engines=tmp_path / "engines")


def test_the_settings_offer_every_backend_and_its_dtypes(backend: NumpyBackend) -> None:
    assert engine_names() == ["auto", "torch", "openvino", "onnxruntime", "native", "numpy"]
    assert dtype_names() == ["auto", "float32", "bfloat16", "float16", "int8", "float64"]
    settings = Settings(engine="numpy", dtype="float64")
    assert (settings.engine, settings.dtype) == ("numpy", "float64")


@pytest.mark.parametrize(
    ("setting", "value", "names"),
    [
        ("engine", "onnx", "auto, torch, openvino, onnxruntime, native"),
        ("dtype", "float8", "auto, float32, bfloat16, float16, int8"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(
    setting: str, value: str, names: str
) -> None:
    with pytest.raises(ValidationError, match=f"unknown {setting} '{value}'; known: {names}"):
        Settings.model_validate({setting: value})


def test_the_list_of_backends_is_read_without_importing_any_of_their_libraries() -> None:
    """In a process of its own: this one may have loaded anything by now."""
    names = ("torch", "openvino", "onnx", "onnxruntime", "transformers", "sentence_transformers")
    program = f"import sys, app.settings; print([n for n in {names} if n in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


def test_the_reference_is_listed_and_converts_nothing() -> None:
    assert BACKENDS[REFERENCE.name] is REFERENCE
    assert REFERENCE.name not in [backend.name for backend in converters()]


def test_the_fastest_backend_that_agrees_is_chosen_converted_and_opened_again(
    backend: NumpyBackend, spec: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[str] = []
    first = load(spec, steps.append)
    assert {"converting for numpy", "measuring numpy float64", "opening numpy float64"} <= {*steps}
    assert {result.engine for result in benchmark_results(spec)} == {*BACKENDS} - {"native"}
    assert (first.engine.name, first.engine.dtype, backend.conversions) == ("numpy", "float64", 1)

    again = load(spec)
    reference = load(replace(spec, engine="torch"))
    assert (again.engine.name, backend.conversions) == ("numpy", 1)
    expected = scores(reference, QUESTIONS[0], passages())
    assert scores(again, QUESTIONS[0], passages()) == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 1e-3

    folder = converted_folder(spec)
    assert folder
    (folder / "numpy" / "weights.npz").write_bytes(b"")
    assert load(spec).engine.name == "numpy"
    (fields,) = fields_logged(caplog, "converted_model_damaged")
    assert "numpy/weights.npz is missing or changed" in fields["reason"]
    assert backend.conversions == 2


def test_errors_name_every_backend(backend: NumpyBackend, spec: ModelSpec) -> None:
    with pytest.raises(InvalidSetting, match="does not run dtype float64: set engine to numpy"):
        load(replace(spec, engine="torch", dtype="float64"))
    with pytest.raises(InvalidSetting, match="engine numpy runs on a CPU only"):
        load(replace(spec, engine="numpy", device="cuda"))
    available = "torch float32, .*, numpy float64(, torch bfloat16)?$"  # by the processor
    refusal = f"engine numpy with dtype float32 is not available .*; available: {available}"
    with pytest.raises(InvalidSetting, match=refusal):
        load(replace(spec, engine="numpy", dtype="float32"))


def test_a_backend_that_refuses_a_model_says_why_when_it_is_set_by_name(
    backend: NumpyBackend, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.refusal = "it has too many layers"
    with pytest.raises(InvalidSetting, match="engine numpy cannot run model: it has too many"):
        load(replace(spec, engine="numpy"))
    assert load(spec).engine.name != "numpy"
    assert backend.conversions == 0


def test_a_model_that_every_converter_refuses_runs_on_the_reference(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend in of_any_model():
        monkeypatch.setattr(f"app.engines.{backend.name}.find_spec", lambda name: None)
    monkeypatch.setattr(loading, "convert_and_open", None)
    assert load(spec).engine.name == REFERENCE.name
    refusal = "cannot run model: the package openvino is not installed"
    with pytest.raises(InvalidSetting, match=refusal):
        load(replace(spec, engine="openvino"))
