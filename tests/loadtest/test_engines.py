"""The comparison of orders, with engines that score by rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.compose.loading import spec_of
from app.engines import LoadedModel, Pair
from app.engines.loading import load
from app.settings import Settings
from loadtest.engines import REFERENCE, compare

OTHER = "other int8"
CORPUS = {
    "long": "a book of the library that is very long indeed",
    "mid": "a book of the library",
    "short": "a book",
}
QUERIES = {"books": "book", "nothing": "xylophone"}


class ByLength:
    """Scores by the number of tokens, and refuses an empty batch, as torch does."""

    name, device, dtype, state_cache = "by length", "cpu", "float32", None

    def __init__(self, sign: float, base: LoadedModel) -> None:
        self._sign = sign
        self.slicing = base.engine.slicing

    def score(self, batch: Sequence[Pair]) -> list[float]:
        assert batch
        return [self._sign * pair.tokens for pair in batch]

    def memory(self) -> int:
        return 0


@pytest.fixture(scope="module")
def base(model: Path) -> LoadedModel:
    return load(spec_of(Settings(model=str(model), device="cpu")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in rows.items()]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels").mkdir()
    judgments = ["query-id\tcorpus-id\tscore", "books\tlong\t1", "nothing\tmid\t1"]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(judgments))
    return tmp_path


def test_orders_are_compared_and_a_query_without_candidates_is_no_error(
    base: LoadedModel, folder: Path
) -> None:
    models = {
        REFERENCE: replace(base, engine=ByLength(1, base)),
        OTHER: replace(base, engine=ByLength(-1, base)),
    }
    fidelity = compare(folder, models, sample=10)
    assert fidelity[REFERENCE].tau == 1
    assert fidelity[OTHER].tau == -1
    assert fidelity[REFERENCE].ndcg == pytest.approx(0.5)  # of the query with candidates, 1
    assert fidelity[OTHER].difference == pytest.approx(0.25 - 0.5)  # the third place of three
