"""Rerankers whose head is a chain of modules behind a backbone, and kinds that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

from app.engines import LoadedModel
from app.engines.converted_model import converted_folder
from app.engines.loading import load
from app.engines.spec import ModelSpec
from app.errors import LoadFailed
from tests import models
from tests.engines.ranking import scores

QUESTION = "how long is a book lent"
ENGINES = ("torch", "openvino", "onnxruntime")


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.modular(tmp_path_factory.mktemp("modular"), request.param)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


def opened(folder: Path, engine: str, engines: Path, dtype: str = "float32") -> LoadedModel:
    spec = ModelSpec(str(folder), device="cpu", engine=engine, dtype=dtype, engines=engines)
    return load(spec)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_scores_as_predict_does(reranker: Path, engines: Path, engine: str) -> None:
    model = CrossEncoder(str(reranker), device="cpu", local_files_only=True)
    pairs = [(QUESTION, text) for text in models.TEXTS]
    expected = model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    served = opened(reranker, engine, engines)
    assert served.engine.name == engine
    np.testing.assert_allclose(scores(served, QUESTION, models.TEXTS), expected, atol=1e-5)
    assert np.ptp(expected) > 0.01


def test_it_is_converted_once_for_all_engines(reranker: Path, engines: Path) -> None:
    opened(reranker, "onnxruntime", engines)
    kept = converted_folder(ModelSpec(str(reranker), engines=engines))
    assert kept is not None
    assert {"openvino", "onnxruntime"} <= {file.name for file in kept.iterdir()}


def test_half_precision_reaches_the_head(reranker: Path, engines: Path) -> None:
    exact = scores(opened(reranker, "torch", engines), QUESTION, models.TEXTS)
    half = scores(opened(reranker, "torch", engines, "bfloat16"), QUESTION, models.TEXTS)
    np.testing.assert_allclose(half, exact, atol=0.1)


# --- other kinds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (SentenceTransformer, "an embedding model \\(bi-encoder\\)"),
        (MultiVectorEncoder, "a late-interaction model \\(ColBERT\\)"),
    ],
)
def test_a_model_that_compares_vectors_is_refused_by_its_kind(
    model: Path, tmp_path: Path, make: type, kind: str
) -> None:
    make(str(model)).save_pretrained(str(tmp_path / "other"))
    with pytest.raises(LoadFailed, match=f"model other is {kind}.*only cross-encoders"):
        load(ModelSpec(str(tmp_path / "other"), device="cpu"))


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "a sparse"),
        ("config.json", {"architectures": ["JinaForRanking"]}, "a listwise reranker"),
        ("config.json", {"architectures": ["HF_ColBERT"]}, "a late-interaction model"),
    ],
)
def test_a_kind_is_known_by_what_is_written_beside_the_model(
    tmp_path: Path, file: str, content: object, kind: str
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(LoadFailed, match=f"is {kind}"):
        load(ModelSpec(str(tmp_path), device="cpu"))


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}"])
def test_a_file_that_says_nothing_of_the_kind_refuses_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(LoadFailed, match="cannot be loaded"):
        load(ModelSpec(str(tmp_path), device="cpu"))
