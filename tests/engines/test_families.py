"""Every family that the documentation names scores as `CrossEncoder.predict` does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from app.engines import Encoded, LoadedModel
from app.engines.chat import shared
from app.engines.loading import load
from app.engines.spec import ModelSpec
from app.engines.torch.encoder import QWEN3
from app.rerank.windows import windows_of
from tests import models
from tests.engines.ranking import scores

QUERY = "how long may I keep the book?"
DOCUMENTS = [
    "Books are lent for four weeks.",
    "図書館は九時に開きます。",
    "x",
    "Les livres sont prêtés pour quatre semaines. " * 2,
]
LONG = "a longer loan may be asked for at the desk. " * 60


@pytest.fixture(scope="session", params=list(models.FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.FAMILIES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def loaded(folder: Path) -> LoadedModel:
    return load(ModelSpec(str(folder), device="cpu"))


@pytest.fixture(scope="session")
def reference(folder: Path, loaded: LoadedModel) -> CrossEncoder:
    model: CrossEncoder = CrossEncoder(
        str(folder), device="cpu", max_length=loaded.encoder.max_tokens
    )
    if model.config is not None and model.config.model_type == "qwen3":
        model.processor.chat_template = QWEN3
    return model


def ours(loaded: LoadedModel, texts: Sequence[str]) -> list[float]:
    return scores(loaded, QUERY, texts)


def theirs(reference: CrossEncoder, texts: Sequence[str]) -> np.ndarray:
    return reference.predict([(QUERY, text) for text in texts], activation_fn=torch.nn.Identity())


def test_scores_equal_those_of_predict(loaded: LoadedModel, reference: CrossEncoder) -> None:
    scores = ours(loaded, DOCUMENTS)
    assert np.ptp(scores) > 1e-3
    np.testing.assert_allclose(scores, theirs(reference, DOCUMENTS), atol=1e-5)


def test_a_document_that_is_too_long_is_cut_as_predict_cuts_it(
    loaded: LoadedModel, reference: CrossEncoder
) -> None:
    np.testing.assert_allclose(ours(loaded, [LONG]), theirs(reference, [LONG]), atol=1e-5)


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(loaded: LoadedModel) -> None:
    together = ours(loaded, DOCUMENTS)
    alone = [ours(loaded, [text])[0] for text in DOCUMENTS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_pair_is_read_the_same_whatever_stands_beside_it(loaded: LoadedModel) -> None:
    """A query that hardly leaves room for one document is not shortened for it by another."""
    read = partial(loaded.encoder.encode, instruction=None, cut="right")
    queries = (QUERY * times for times in range(1, 40))
    fitting = [
        query for query in queries if read(query, ["x"])[0].whole <= loaded.encoder.max_tokens
    ]
    (alone,), (beside, _) = read(fitting[-1], ["x"]), read(fitting[-1], ["x", LONG])
    assert list(alone.pair.ids) == list(beside.pair.ids)


def test_no_pair_exceeds_the_models_length_and_the_whole_length_is_returned(
    loaded: LoadedModel,
) -> None:
    for cut in ("left", "right"):
        (encoded,) = loaded.encoder.encode(QUERY, [LONG], instruction=None, cut=cut)
        assert encoded.tokens <= loaded.encoder.max_tokens < encoded.whole


def test_cutting_on_the_left_keeps_the_documents_end(loaded: LoadedModel) -> None:
    text = LONG + "The end is what counts."
    left, right = (
        loaded.encoder.encode(QUERY, [text], instruction=None, cut=cut)[0].pair
        for cut in ("left", "right")
    )
    whole = loaded.encoder.encode(QUERY, ["The end is what counts."], instruction=None, cut="right")
    tail = list(whole[0].pair.ids[-8:])
    assert list(left.ids[-8:]) == tail
    assert left.tokens == right.tokens or loaded.encoder.takes_instruction
    assert list(left.ids) != list(right.ids)


def test_a_limit_on_a_documents_tokens_is_kept_to_the_token(loaded: LoadedModel) -> None:
    """Only a stretch of the document is left out: at its end, or at its beginning."""
    read = partial(loaded.encoder.encode, QUERY, DOCUMENTS[:1], instruction=None)
    (whole,) = read(cut="right")
    (right,), (left,) = (read(cut=cut, document_tokens=4) for cut in ("right", "left"))
    assert whole.kept == whole.document > 4
    for limited in (left, right):
        assert (limited.whole, limited.document, limited.kept) == (whole.whole, whole.document, 4)
        assert limited.tokens == whole.tokens - whole.document + 4
        before, after = beginning(whole, limited), beginning(whole, limited, step=-1)
        assert before + after >= limited.tokens
    assert beginning(whole, right) >= beginning(whole, left) + 4


def beginning(first: Encoded, second: Encoded, step: int = 1) -> int:
    """How long both are the same, from the front or from behind."""
    return shared(first.pair.ids[::step], second.pair.ids[::step])


def test_what_does_not_fit_is_read_in_windows_that_reach_its_end(loaded: LoadedModel) -> None:
    read = partial(loaded.encoder.encode, QUERY, instruction=None, cut="right")
    windows = windows_of(LONG, read([LONG])[0])
    assert len(windows) > 1
    assert LONG.endswith(windows[-1])
    assert sum(map(len, windows)) > len(LONG)
    inner = read(windows)
    assert all(window.tokens <= loaded.encoder.max_tokens for window in inner)
    assert sum(window.kept == window.document for window in inner) > 0.9 * len(inner)


def test_a_query_that_is_too_long_is_cut_as_well(loaded: LoadedModel) -> None:
    (encoded,) = loaded.encoder.encode(LONG, [LONG], instruction=None, cut="right")
    assert encoded.tokens <= loaded.encoder.max_tokens
    assert np.isfinite(loaded.engine.score([encoded.pair])).all()
