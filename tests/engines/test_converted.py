"""Converted models score as before, and start without torch."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engines.backends import BACKENDS, converters
from app.engines.benchmark import MIN_AGREEMENT, tau
from app.engines.loading import benchmark_results, load
from app.engines.openvino.engine import OpenVinoStream
from app.engines.probe import QUESTIONS, lists, passages
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting
from tests import models
from tests.engines.ranking import of_any_model, scores
from tests.logged import fields_logged

FAMILIES = ("bert", "xlm-roberta", "modernbert")
# OpenVINO's eight bits do not reach the contest's bar on each kind of processor.
MINIMUM = {"openvino": 0.96, "onnxruntime": MIN_AGREEMENT, "native": MIN_AGREEMENT}
WITHOUT_TORCH = """
import sys
from pathlib import Path
from app.engines.loading import load
from app.engines.spec import ModelSpec
spec = ModelSpec(sys.argv[1], device="cpu", engine=sys.argv[3], engines=Path(sys.argv[2]))
model = load(spec)
print(model.engine.name, "torch" in sys.modules, "sentence_transformers" in sys.modules)
"""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model of the family, converted for each backend."""
    folder = tmp_path_factory.mktemp(request.param)
    model = models.FAMILIES[request.param](folder / "model")
    spec = ModelSpec(str(model), device="cpu", engine="auto", engines=folder / "engines")
    load(spec)
    return spec


@pytest.fixture(params=[backend.name for backend in of_any_model()])
def spec(request: pytest.FixtureRequest, family: ModelSpec) -> ModelSpec:
    return replace(family, engine=request.param)


def test_the_same_numbers_come_out_in_full_precision(spec: ModelSpec) -> None:
    ours = load(replace(spec, dtype="float32"))
    theirs = load(replace(spec, engine="torch"))
    assert ours.engine.dtype == "float32"
    for question in QUESTIONS[:3]:
        texts = [*passages(), "one", "", "long " * 600]
        assert np.allclose(
            scores(ours, question, texts), scores(theirs, question, texts), atol=1e-4
        )


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(spec: ModelSpec) -> None:
    model = load(replace(spec, dtype="int8"))
    together = scores(model, QUESTIONS[0], passages())
    alone = [scores(model, QUESTIONS[0], [text])[0] for text in passages()]
    assert np.allclose(together, alone, atol=0.02 * float(np.ptp(together)))


def test_the_benchmark_says_how_fast_and_how_faithful_each_engine_is(family: ModelSpec) -> None:
    results = benchmark_results(family)
    assert (results[0].engine, results[0].dtype) == ("torch", "float32")
    agreements = {(result.engine, result.dtype): result.agreement for result in results}
    for backend in of_any_model():
        assert agreements[backend.name, "float32"] == pytest.approx(1, abs=1e-3)
        assert (backend.name, "int8") in agreements
    assert all(result.pairs_per_second > 0 for result in results)


def test_what_was_converted_starts_without_torch(spec: ModelSpec) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, spec.name, str(spec.engines), spec.engine]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [spec.engine, "False", "False"]


def test_the_very_first_call_is_over_before_several_threads_make_calls(
    bert: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are made together can wait for each other for ever, and the whole process with them:
    one start in six, on a busy machine."""
    callers, score = [], OpenVinoStream.score

    def recorded(stream: OpenVinoStream, *arguments: Any) -> list[float]:
        callers.append(threading.get_ident())
        return score(stream, *arguments)

    monkeypatch.setattr(OpenVinoStream, "score", recorded)
    load(bert)
    assert callers == [threading.get_ident()]


def test_texts_are_cut_as_the_model_itself_cuts_them(spec: ModelSpec) -> None:
    ours, theirs = load(spec), load(replace(spec, engine="torch"))
    for text in ("a  b\n", "long words " * 900, "", "東京"):
        mine, original = (
            model.encoder.encode("a question", [text], instruction=None, cut="right")[0]
            for model in (ours, theirs)
        )
        assert (mine.pair.ids.tolist(), mine.pair.split, mine.whole) == (
            original.pair.ids.tolist(),
            original.pair.split,
            original.whole,
        )


def test_a_shorter_max_length_is_kept_to_and_a_longer_one_refused(spec: ModelSpec) -> None:
    assert load(replace(spec, max_length=32)).encoder.max_tokens == 32
    with pytest.raises(InvalidSetting, match="max_length 4000 exceeds the"):
        load(replace(spec, max_length=4000))


def test_code_that_ships_with_a_model_runs_on_torch(fresh: ModelSpec) -> None:
    assert load(replace(fresh, engine="auto", trust_remote_code=True)).engine.name == "torch"


def test_a_model_that_cannot_be_converted_runs_on_torch(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operator")

    for backend in of_any_model():
        monkeypatch.setattr(f"app.engines.{backend.name}.conversion.convert", fail)
    model = load(replace(fresh, engine="auto"))
    assert model.engine.name == "torch"
    assert fields_logged(caplog, "conversion_failed") == [
        {"backend": backend.name, "reason": "no such operator"} for backend in of_any_model()
    ]
    refusal = r"engine openvino with dtype auto is not available for model .*; available: torch"
    with pytest.raises(InvalidSetting, match=refusal):
        load(fresh)


def test_a_converted_model_that_fails_takes_no_part_in_the_contest(
    fresh: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A graph may have kept the shape that it was traced with."""

    def fail(*_: object) -> None:
        raise RuntimeError("Got invalid dimensions for input")

    monkeypatch.setattr("app.engines.onnxruntime.engine.OnnxStream.score", fail)
    auto = replace(fresh, engine="auto")
    load(auto)
    assert "onnxruntime" not in {result.engine for result in benchmark_results(auto)}
    assert fields_logged(caplog, "measuring_failed") == [
        {"backend": "onnxruntime", "dtype": dtype, "reason": "Got invalid dimensions for input"}
        for dtype in ("float32", "int8")
    ]


def test_a_chat_template_needs_torch(tmp_path: Path) -> None:
    model = models.qwen3(tmp_path / "model")
    spec = ModelSpec(str(model), device="cpu", engine="auto", engines=tmp_path / "engines")
    assert load(spec).engine.name == "torch"
    with pytest.raises(InvalidSetting, match="renders a chat template"):
        load(replace(spec, engine="openvino"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"engine": "openvino", "device": "mps"}, "engine openvino runs on a CPU only"),
        ({"engine": "auto", "dtype": "int8", "device": "cuda"}, "dtype int8 runs on a CPU only"),
        (
            {"engine": "torch", "dtype": "int8"},
            "int8: set engine to openvino or onnxruntime or native or auto",
        ),
        (
            {"engine": "openvino", "dtype": "float16"},
            "engine openvino does not run dtype float16: set engine to torch or auto",
        ),
        (
            {"engine": "auto", "dtype": "int8", "trust_remote_code": True},
            "dtype int8 is not available for model: only engine torch can run it",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    bert: ModelSpec, settings: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        load(replace(bert, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [backend.name for backend in converters()])
def test_the_bundled_model_ranks_in_eight_bits_as_in_full_precision(name: str) -> None:
    spec = ModelSpec(device="cpu", engine=name, dtype="int8", engines=Path(".cache/engines"))
    if reason := BACKENDS[name].refuses(spec):
        pytest.skip(reason)
    ours, theirs = load(spec), load(ModelSpec(device="cpu"))
    batches = lists(theirs.encoder)[:4]
    taus = [tau(theirs.engine.score(batch), ours.engine.score(batch)) for batch in batches]
    assert sum(taus) / len(taus) > MINIMUM[name]
