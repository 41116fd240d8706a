"""Models that come with graphs, as hubs publish them: run, measured and checked without torch."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app.engines import LoadedModel, processors
from app.engines.backends import BACKENDS, REFERENCE
from app.engines.benchmark import MIN_AGREEMENT, agree, logits
from app.engines.describing import describe
from app.engines.hub import fetch
from app.engines.loading import benchmark_results, load, load_soon
from app.engines.probe import QUESTIONS, lists, passages
from app.engines.published import find_published, open_published
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, PackageMissing
from tests import models, published
from tests.engines.ranking import scores
from tests.logged import fields_logged

FAMILIES = ("bert", "xlm-roberta", "modernbert")
TORCH_MODULES = ("torch", "transformers", "sentence_transformers")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a graph in full precision, and in eight bits for any processor that is met."""
    folder = published.with_graph(tmp_path_factory.mktemp("published") / "model")
    published.add_eight_bits(folder, "onnx/model_quint8_avx2.onnx")
    published.add_eight_bits(folder, "onnx/model_qint8_arm64.onnx")
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


@pytest.fixture
def spec(model: Path, tmp_path: Path) -> ModelSpec:
    return ModelSpec(str(model), device="cpu", engine="auto", engines=tmp_path / "engines")


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_torch(monkeypatch)


def remove_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a slim installation: `find_spec` returns None, and an import fails."""
    for name in TORCH_MODULES:
        monkeypatch.setitem(sys.modules, name, None)


def opened(spec: ModelSpec) -> LoadedModel:
    graphs = find_published(spec)
    assert graphs is not None
    return open_published(spec, graphs)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_tokens_and_scores_are_those_of_the_reference(family: str, tmp_path: Path) -> None:
    folder = published.with_graph(tmp_path / "model", family)
    spec = ModelSpec(str(folder), device="cpu", dtype="float32")
    ours, theirs = opened(spec), REFERENCE.load(spec)
    assert ours.encoder.max_tokens == theirs.encoder.max_tokens
    assert ours.architecture == theirs.architecture
    card = describe(folder)
    assert card.layout == theirs.layout
    texts = [*passages()[:4], "", "東京", "long " * 300]
    for text in texts:
        mine, original = (
            each.encoder.encode("A question?", [text], instruction=None, cut="right")[0]
            for each in (ours, theirs)
        )
        assert (mine.pair.ids.tolist(), mine.pair.split, mine.whole) == (
            original.pair.ids.tolist(),
            original.pair.split,
            original.whole,
        )
    np.testing.assert_allclose(
        scores(ours, QUESTIONS[0], texts), scores(theirs, QUESTIONS[0], texts), atol=1e-4
    )


def test_it_starts_at_once_and_its_files_take_part_in_the_contest(
    spec: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first, is_open = load_soon(spec)
    assert (first.engine.name, first.engine.dtype, is_open) == ("onnxruntime", "float32", True)
    steps: list[str] = []
    chosen = load(spec, steps.append)
    results = benchmark_results(spec)
    by_file = {result.file: result for result in results if result.file}
    fits = processors.abilities() | {processors.machine()}
    rounded = "onnx/model_quint8_avx2.onnx" if "avx2" in fits else "onnx/model_qint8_arm64.onnx"
    assert set(by_file) == {"onnx/model.onnx", rounded}
    assert by_file["onnx/model.onnx"].agreement == pytest.approx(1, abs=1e-3)
    own = [(result.engine, result.dtype) for result in results if not result.file]
    assert ("onnxruntime", "float32") not in own
    assert {("torch", "float32"), ("onnxruntime", "int8"), ("openvino", "int8")} <= {*own}
    assert chosen.engine.name in BACKENDS
    assert load_soon(spec)[1] is False
    assert fields_logged(caplog, "published_graphs_not_used") == []


def test_a_file_in_eight_bits_is_run_if_it_ranks_alike_and_is_the_fastest(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(spec)
    by_file = {result.file: result for result in benchmark_results(spec)}
    rounded = next(file for file in by_file if "int8" in file)
    best = by_file[rounded]._replace(agreement=1.0)
    monkeypatch.setattr("app.engines.loading.choose", lambda *_: best)
    model = load(spec)
    assert (model.engine.name, model.engine.dtype) == ("onnxruntime", "int8")
    agreement = agree(
        logits(opened(spec).engine, lists(model.encoder)),
        logits(model.engine, lists(model.encoder)),
    )
    assert 0.5 < agreement < 1


@pytest.mark.usefixtures("without_torch")
def test_without_torch_the_graph_in_full_precision_is_what_all_are_compared_with(
    spec: ModelSpec, model: Path
) -> None:
    published.add_openvino(model)
    chosen = load(spec)
    results = benchmark_results(spec)
    assert {result.engine for result in results} == {"onnxruntime", "openvino"}
    assert {result.file for result in results if result.dtype == "float32"} == {
        "onnx/model.onnx",
        "openvino/openvino_model.xml",
    }
    exact = [result.agreement for result in results if result.dtype == "float32"]
    assert exact == pytest.approx([1, 1], abs=1e-3)
    own = {result.engine: result for result in results if not result.file}
    assert own["onnxruntime"].agreement >= MIN_AGREEMENT
    assert own["openvino"].agreement >= 0.96
    assert len(scores(chosen, "a question", ["one", "two"])) == 2
    again = load(replace(spec, engine="openvino", dtype="float32"))
    expected = scores(opened(spec), QUESTIONS[0], passages())
    assert scores(again, QUESTIONS[0], passages()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.usefixtures("without_torch")
def test_without_torch_openvino_s_own_files_are_enough(spec: ModelSpec, model: Path) -> None:
    expected = scores(opened(spec), QUESTIONS[0], passages())
    published.add_openvino(model)
    shutil.rmtree(model / "onnx")
    first, is_open = load_soon(spec)
    assert (first.engine.name, is_open) == ("openvino", True)
    assert scores(first, QUESTIONS[0], passages()) == pytest.approx(expected, abs=1e-4)


def test_a_hub_s_cache_is_read_as_a_folder_is(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are links to what is named by its digest."""
    cache = tmp_path / "hub"
    repository = cache / "models--owner--name"
    commit = "0" * 40
    for number, file in enumerate(sorted(model.rglob("*"))):
        if file.is_file():
            blob = repository / "blobs" / f"{number:040x}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, blob)
            link = repository / "snapshots" / commit / file.relative_to(model)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    spec = ModelSpec("owner/name", device="cpu", engine="auto", offline=True, engines=tmp_path)
    remove_torch(monkeypatch)
    model_there, is_open = load_soon(spec)
    assert (model_there.name, is_open) == ("owner/name", True)
    assert load(spec).engine.name in BACKENDS
    assert {result.file for result in benchmark_results(spec)} > {"", "onnx/model.onnx"}


@pytest.mark.parametrize(("family", "is_open"), [("bert", True), ("qwen3", False)])
def test_without_graphs_torch_answers_at_once_and_is_replaced_if_another_engine_can_run_it(
    family: str, is_open: bool, tmp_path: Path
) -> None:
    folder = models.FAMILIES[family](tmp_path / "model")
    spec = ModelSpec(str(folder), device="cpu", engine="auto", engines=tmp_path / "engines")
    model, left_open = load_soon(spec, at_once=True)
    assert (model.engine.name, model.engine.dtype) == ("torch", "float32")
    assert left_open is is_open


def test_of_a_hub_only_the_files_that_are_needed_are_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["config.json", "onnx/model.onnx", "onnx/a.onnx", "openvino/openvino_model.xml"]
    there = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    requested: list[list[str]] = []
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: there)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda *_, allow_patterns, **__: requested.append(allow_patterns),
    )
    alternatives = [["onnx/model.onnx", "openvino/openvino_model.xml"], ["onnx/b.onnx"]]
    fetch(ModelSpec("owner/name"), alternatives)
    (patterns,) = requested
    assert {"*.json", "onnx/model.onnx", "onnx/model.onnx_data"} <= {*patterns}
    assert not {"onnx/a.onnx", "onnx/b.onnx", "openvino/openvino_model.xml"} & {*patterns}
    fetch(ModelSpec("owner/name", offline=True), alternatives)
    fetch(ModelSpec("owner/name"), [["onnx/other.onnx"], ["onnx/a.onnx"]])
    assert len(requested) == 1


def test_a_hub_that_does_not_answer_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route")

    caplog.set_level("INFO")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", fail)
    fetch(ModelSpec("owner/name"), [["onnx/model.onnx"]])
    assert fields_logged(caplog, "graphs_not_fetched") == [
        {"model": "owner/name", "reason": "no route"}
    ]


# --- what cannot be used ------------------------------------------------------------------


@pytest.mark.parametrize("start", [load, load_soon])
def test_without_torch_a_model_without_graphs_is_refused_with_the_remedy(
    start: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.bert(tmp_path / "model")
    remove_torch(monkeypatch)
    spec = ModelSpec(str(folder), device="cpu", engine="auto", engines=tmp_path / "engines")
    refusal = (
        r"model model has to be converted, which needs PyTorch, because it comes without graphs "
        r"in full precision: the package torch is not installed \(pip install 'torch"
    )
    with pytest.raises(PackageMissing, match=refusal):
        start(spec)  # type: ignore[operator]


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("setting", [{"engine": "torch"}, {"device": "cuda"}])
def test_a_setting_that_needs_torch_is_refused_with_the_remedy(
    setting: dict[str, str], spec: ModelSpec
) -> None:
    with pytest.raises(PackageMissing, match=r"engine torch cannot run model: .*pip install"):
        load(replace(spec, **setting))  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_torch")
def test_a_graph_that_reads_something_else_is_refused_by_its_inputs(
    spec: ModelSpec, model: Path
) -> None:
    published.rename_input(model, "token_type_ids", "position_ids")
    refusal = "onnx/model.onnx reads input_ids, attention_mask, position_ids; the graph of a"
    with pytest.raises(PackageMissing, match=refusal):
        load_soon(spec)


def test_a_causal_model_is_refused_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.qwen3(tmp_path / "model")
    remove_torch(monkeypatch)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"")
    spec = ModelSpec(str(folder), device="cpu", engine="auto", engines=tmp_path / "engines")
    with pytest.raises(PackageMissing, match="Qwen3ForCausalLM renders a chat template"):
        load_soon(spec)


def test_with_torch_a_graph_that_cannot_be_used_is_not_and_the_log_says_why(
    spec: ModelSpec, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published.rename_input(model, "token_type_ids", "position_ids")
    assert load(spec).engine.name in BACKENDS
    assert {result.file for result in benchmark_results(spec)} == {""}
    (fields,) = fields_logged(caplog, "published_graphs_not_used")
    assert "reads input_ids, attention_mask, position_ids" in str(fields["reason"])


def test_graphs_of_other_weights_are_not_used(
    spec: ModelSpec, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models.bert(tmp_path / "other", seed=1)
    shutil.copyfile(tmp_path / "other" / "model.safetensors", model / "model.safetensors")
    load(spec)
    assert {result.file for result in benchmark_results(spec)} == {""}
    (fields,) = fields_logged(caplog, "published_graphs_not_used")
    assert fields["reason"] == "they do not rank as torch float32 does"


def test_more_length_than_the_model_has_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(InvalidSetting, match="max_length 65 exceeds the 64 tokens"):
        load_soon(replace(spec, max_length=65))
