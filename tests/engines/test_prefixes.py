"""Causal rerankers compute template, instruction and query once for all documents of a request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.engines import Ids, Pair
from app.engines.spec import ModelSpec
from app.engines.torch.engine import TorchEngine
from app.engines.torch.model import TorchModel
from app.engines.torch.prefixes import MIN_PREFIX_TOKENS, NO_PREFIX, Prefixes, grouped
from app.engines.torch.reference import load_reference
from tests import models

DOCUMENTS = ["a book", "rivers run to the sea " * 6, "", "books are lent for four weeks", "x"]
QUERY = "how long may I keep a library book " * 3


def loaded(folder: Path) -> TorchModel:
    return load_reference(ModelSpec(str(folder), device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> TorchModel:
    return loaded(models.qwen3(tmp_path_factory.mktemp("qwen3")))


def pairs_of(
    model: TorchModel, query: str, documents: Sequence[str] = DOCUMENTS, instruction: str = "Find"
) -> list[Pair]:
    encoded = model.encoder.encode(query, documents, instruction=instruction, cut="right")
    return [each.pair for each in encoded]


def computed_whole(model: TorchModel, pairs: Sequence[Pair]) -> list[float]:
    whole = [Pair(pair.ids, 0) for pair in pairs]  # nothing says what they share
    return [model.engine.score([pair])[0] for pair in whole]


class TokensRead:
    """How many tokens the model reads, padding included."""

    def __init__(self, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        causal: Any = engine.model[0].model
        forward = causal.forward

        def count(input_ids: Tensor, **rest: Any) -> Any:
            self.calls.append(input_ids.numel())
            return forward(input_ids, **rest)

        monkeypatch.setattr(causal, "forward", count)


def test_documents_of_one_query_get_the_scores_of_pairs_that_are_computed_whole(
    causal: TorchModel,
) -> None:
    pairs = pairs_of(causal, QUERY)
    assert causal.engine.score(pairs) == pytest.approx(computed_whole(causal, pairs), abs=1e-5)


def test_a_batch_of_several_queries_and_instructions_gives_each_pair_its_own_score(
    causal: TorchModel,
) -> None:
    pairs = [
        *pairs_of(causal, QUERY),
        *pairs_of(causal, "which river"),
        *pairs_of(causal, QUERY, instruction="Find rivers"),
        *pairs_of(causal, "a lonely query", ["one document"]),
    ]
    order = np.random.default_rng(1).permutation(len(pairs))
    mixed = [pairs[index] for index in order]
    assert causal.engine.score(mixed) == pytest.approx(computed_whole(causal, mixed), abs=1e-5)


def test_what_stands_before_the_documents_is_read_once(
    causal: TorchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(causal, "a query that no other test asks, of many words", ["book"] * 20)
    before = pairs[0].split
    rest = pairs[0].tokens - before
    read = TokensRead(causal.engine, monkeypatch)
    causal.engine.score(pairs)
    assert read.calls == [before, 20 * rest]
    assert before > rest


def test_the_next_batch_of_a_request_does_not_read_it_again(
    causal: TorchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(causal, "another query that no other test asks", ["book"] * 20)
    causal.engine.score(pairs)
    read = TokensRead(causal.engine, monkeypatch)
    causal.engine.score(pairs)
    assert read.calls == [20 * (pairs[0].tokens - pairs[0].split)]


def test_with_callers_apart_only_a_batch_shares_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec(str(models.qwen3(tmp_path)), device="cpu", dtype="float32", callers_apart=True)
    model = load_reference(spec)
    pairs = pairs_of(model, QUERY, ["book"] * 20)
    before = pairs[0].split
    read = TokensRead(model.engine, monkeypatch)
    for _ in range(2):
        model.engine.score(pairs)
    assert read.calls == [before, 20 * (pairs[0].tokens - before)] * 2


def test_documents_that_are_cut_at_either_end_keep_what_they_share(causal: TorchModel) -> None:
    for cut in ("left", "right"):
        encoded = causal.encoder.encode(QUERY, ["book " * 400] * 3, instruction=None, cut=cut)
        pairs = [each.pair for each in encoded]
        assert pairs[0].tokens == causal.encoder.max_tokens
        assert causal.engine.score(pairs) == pytest.approx(computed_whole(causal, pairs), abs=1e-5)


@pytest.mark.parametrize("failure", ["other scores", "no cache"])
def test_a_model_that_does_not_continue_what_it_has_computed_computes_pairs_whole(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forget(_: Prefixes, prefix: Ids, features: dict[str, Tensor]) -> Tensor:
        if failure == "no cache":
            raise AttributeError(f"nothing is kept of {len(prefix)} tokens")
        return torch.zeros(len(features["input_ids"]), 1)

    monkeypatch.setattr(Prefixes, "score", forget)
    model = loaded(models.qwen3(tmp_path))
    assert [record.message for record in caplog.records] == ["prefixes_not_shared"]
    pairs = pairs_of(model, QUERY)
    assert model.engine.score(pairs) == pytest.approx(computed_whole(model, pairs), abs=1e-5)


def test_models_that_read_both_sides_share_nothing(tmp_path: Path) -> None:
    model = loaded(models.bert(tmp_path))
    encoded = model.encoder.encode("q", DOCUMENTS, instruction=None, cut="right")
    pairs = [each.pair for each in encoded]
    assert all(0 < pair.split < pair.tokens for pair in pairs)
    assert model.engine.score(pairs) == pytest.approx(computed_alone(model, pairs), abs=1e-5)


def computed_alone(model: TorchModel, pairs: Sequence[Pair]) -> list[float]:
    return [model.engine.score([pair])[0] for pair in pairs]


def pair(prefix: int, *rest: int, number: int = 7) -> Pair:
    return Pair(np.array([*[number] * prefix, *rest], dtype=np.int32), prefix)


def test_a_group_is_made_where_it_saves_more_tokens_than_a_call_costs() -> None:
    batch = [pair(40, 1), pair(40, 2, 3), pair(40, 4)]
    (group,) = grouped(batch, waste=79)
    assert group.prefix.tolist() == [7] * 40
    assert [each.ids.tolist() for each in group.pairs] == [[1], [2, 3], [4]]
    (whole,) = grouped(batch, waste=80)
    assert (len(whole.prefix), whole.indexes) == (0, [0, 1, 2])
    assert [each.tokens for each in whole.pairs] == [41, 42, 41]


def test_pairs_of_other_groups_and_short_prefixes_stay_together() -> None:
    batch = [pair(40, 1), pair(40, 2, number=8), pair(40, 3), pair(MIN_PREFIX_TOKENS - 1, 4)]
    groups = grouped([*batch, batch[-1]], waste=0)
    assert [(len(group.prefix), list(group.indexes)) for group in groups] == [
        (40, [0, 2]),
        (0, [1, 3, 4]),
    ]
    assert groups[1].prefix is NO_PREFIX


def test_a_pair_of_which_nothing_follows_is_not_continued() -> None:
    (group,) = grouped([pair(40), pair(40, 1)], waste=0)
    assert len(group.prefix) == 0
