"""The engine `native`: what it converts, refuses and scores."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engines import Pair, processors
from app.engines.backend import Choice
from app.engines.backends import REFERENCE
from app.engines.benchmark import MIN_AGREEMENT, agree, logits
from app.engines.converted_model import encoder_of, read_card
from app.engines.layout import Layout
from app.engines.loading import load
from app.engines.native import BACKEND, build, library
from app.engines.native.architecture import FAMILIES, reason_against
from app.engines.native.weights import NEIGHBOURS, WHOLE, WORDS
from app.engines.onnxruntime import BACKEND as ONNX_RUNTIME
from app.engines.probe import lists
from app.engines.select import converters_for
from app.engines.spec import BUNDLED_FOLDER, ModelSpec
from app.engines.streams import StreamedEngine
from app.engines.torch.model import TorchModel
from app.errors import InvalidSetting
from tests import models

WIDTH = 128
needs_library = pytest.mark.skipif(
    library.available() is None, reason="needs a C compiler and a processor for the library"
)
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "id2label": {"0": "LABEL_0"},
}


@dataclass
class Converted:
    model: TorchModel
    source: Path
    folder: Path

    def open(self, streams: int = 1) -> StreamedEngine:
        choice = Choice("int8", 512, streams, streams)
        engine = BACKEND.open(self.folder, self.model.layout, choice)
        assert isinstance(engine, StreamedEngine)
        return engine

    @property
    def pairs(self) -> list[Pair]:
        return lists(self.model.encoder)[0]


@pytest.fixture(scope="module", params=["bert", "xlm_roberta"])
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Converted:
    folder = tmp_path_factory.mktemp(request.param)
    source = getattr(models, request.param)(folder / "model", width=WIDTH)
    model = REFERENCE.load(ModelSpec(str(source), device="cpu", dtype="float32"))
    (folder / "native").mkdir()
    BACKEND.convert(model, [], folder / "native")
    return Converted(model, source, folder / "native")


@needs_library
def test_scores_are_those_of_torch_but_for_rounding(converted: Converted) -> None:
    ours = converted.open().score(converted.pairs)
    theirs = converted.model.engine.score(converted.pairs)
    # Weights that are drawn, and drawn wide, make more of rounding than those of a trained model.
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert agree([theirs], [ours]) > 0.85


@needs_library
def test_a_score_is_the_same_in_any_batch_to_the_last_bit(converted: Converted) -> None:
    engine, pairs = converted.open(streams=2), converted.pairs
    together = engine.score(pairs)
    assert engine.score(pairs[::-1])[::-1] == together
    assert [engine.score([pair])[0] for pair in pairs] == together


def test_the_weights_that_came_with_a_model_give_the_files_that_torch_gives(
    converted: Converted, tmp_path: Path
) -> None:
    graphs = BACKEND.readable(converted.source)
    assert graphs is not None
    BACKEND.adapt(graphs, {}, tmp_path, BACKEND.all_dtypes)
    for name in (WORDS, WHOLE, NEIGHBOURS):
        assert (tmp_path / name).read_bytes() == (converted.folder / name).read_bytes()
    assert {file.name for file in tmp_path.iterdir()} <= {*BACKEND.files("int8")}


@needs_library
def test_files_that_do_not_fit_together_are_refused(converted: Converted, tmp_path: Path) -> None:
    shutil.copytree(converted.folder, tmp_path, dirs_exist_ok=True)
    for name in (WHOLE, NEIGHBOURS):
        with np.load(tmp_path / name) as archive:
            arrays = dict(archive)
        np.savez(tmp_path / name, **(arrays | {"0.up.scale": arrays["0.up.scale"][1:]}))
    with pytest.raises(RuntimeError, match="an array is float32"):
        BACKEND.open(tmp_path, converted.model.layout, Choice("int8", 512, 1, 1))


def test_a_weight_that_is_not_a_number_is_refused(converted: Converted, tmp_path: Path) -> None:
    model = REFERENCE.load(ModelSpec(str(converted.source), device="cpu", dtype="float32"))
    inner: Any = model.engine.model[0].model
    next(inner.parameters()).data[3, 3] = float("nan")
    with pytest.raises(ValueError, match="has a weight that is not a number"):
        BACKEND.convert(model, [], tmp_path)


@dataclass
class Reference:
    """What the bundled model scores in full precision."""

    layout: Layout
    pairs: list[list[Pair]]
    scores: list[list[float]]


@pytest.fixture(scope="module")
def reference() -> Reference:
    card, graphs = read_card(BUNDLED_FOLDER), ONNX_RUNTIME.readable(BUNDLED_FOLDER)
    assert card
    assert graphs
    engine = ONNX_RUNTIME.open_graphs(graphs, card.layout, Choice("float32", 1_024, 1, 1))
    pairs = lists(encoder_of(BUNDLED_FOLDER, card, 0))[:2]
    return Reference(card.layout, pairs, logits(engine, pairs))


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled")
    graphs = BACKEND.readable(BUNDLED_FOLDER)
    assert graphs is not None
    BACKEND.adapt(graphs, {}, folder, BACKEND.all_dtypes)
    return folder


@pytest.fixture(params=[name for name in library.compiled() if name in processors.abilities()])
def ability(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A processor that can do nothing better."""
    monkeypatch.setattr(processors, "abilities", lambda: frozenset({request.param}))
    return str(request.param)


@needs_library
def test_the_bundled_model_ranks_as_in_full_precision_and_reads_a_document_once(
    bundled: Path, reference: Reference, ability: str
) -> None:
    assert library.available() == ability
    choice = Choice("int8", 1_024, 1, 1, state_bytes=2**24, state_seconds=60)
    engine = BACKEND.open(bundled, reference.layout, choice)
    scores = logits(engine, reference.pairs)
    assert agree(reference.scores, scores) >= MIN_AGREEMENT
    cache = engine.state_cache
    assert cache is not None
    computed = cache.misses
    assert engine.score(reference.pairs[0]) == scores[0]
    assert cache.misses == computed


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"hidden_act": "gelu", "position_embedding_type": "absolute"}, None),
        ({"architectures": ["XLMRobertaForSequenceClassification"]}, None),
        ({"architectures": ["Duet"], "id2label": None}, None),
        (
            {"architectures": ["ModernBertForSequenceClassification"]},
            f"ModernBertForSequenceClassification is not one of {', '.join(FAMILIES)}",
        ),
        ({"id2label": {"0": "no", "1": "yes"}}, "it has 2 labels"),
        ({"hidden_act": "relu"}, "its hidden_act is relu, not gelu"),
        (
            {"position_embedding_type": "relative_key"},
            "its position_embedding_type is relative_key, not absolute",
        ),
        ({"hidden_size": 312}, "its hidden_size is 312, not a multiple of 128"),
        ({"intermediate_size": 600}, "its intermediate_size is 600, not a multiple of 128"),
        ({"num_attention_heads": 24}, "its size of a head is 16, not a multiple of 32"),
    ],
)
def test_a_model_that_the_library_cannot_run_is_refused_with_the_reason(
    changed: dict[str, Any], reason: str | None
) -> None:
    assert reason_against(CONFIG | changed) == reason


@needs_library
def test_the_reason_reaches_whoever_sets_the_engine(tmp_path: Path) -> None:
    folder = models.bert(tmp_path / "model")
    spec = ModelSpec(str(folder), device="cpu", engine="native", engines=tmp_path / "engines")
    with pytest.raises(InvalidSetting, match="engine native cannot run model: its hidden_size is"):
        load(spec)


def test_without_a_library_for_this_processor_the_other_engines_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processors, "abilities", frozenset)
    spec = ModelSpec(device="cpu", engine="native")
    with pytest.raises(InvalidSetting, match="its library was not compiled for this processor"):
        load(spec)
    auto = converters_for(replace(spec, engine="auto"))
    assert "native" not in {backend.name for backend in auto}
    with pytest.raises(RuntimeError, match="no library was compiled"):
        BACKEND.open(Path(), Layout(0, 0, left=False, typed=True), Choice("int8", 512, 1, 1))


def test_without_a_compiler_nothing_is_compiled_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert build.build(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert library.compiled(tmp_path) == []
    assert library.available(tmp_path) is None


@pytest.mark.skipif(build.compiler() is None, reason="needs a C compiler")
def test_a_compiler_that_is_too_old_for_a_processor_leaves_its_library_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "FLAGS_BY_ABILITY", {"amx_int8": ("-mno-such-flag",)})
    assert build.build(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert "encoder-amx_int8.so is left out: " in capsys.readouterr().err


@needs_library
def test_a_model_is_converted_again_when_a_library_was_compiled_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert f"native {library.available()}" in BACKEND.packages
    monkeypatch.setattr(library, "FLAGS_BY_ABILITY", {})
    assert BACKEND.packages == []
