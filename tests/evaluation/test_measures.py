from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import pytest
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

from app.compose.model import open_model
from app.engines.spec import ModelSpec
from app.evaluation.data.judged import Judged
from app.evaluation.local import LocalScorer
from app.evaluation.measures.measures import measure
from app.evaluation.scoring import reorder, score_all
from app.settings import load

K = 10


def reference(grades: Mapping[str, int], order: Sequence[str]) -> dict[str, float]:
    """The textbook's definitions, written anew."""
    relevant = {name for name, grade in grades.items() if grade > 0}
    hits = [name in relevant for name in order]
    gains = [max(grades.get(name, 0), 0) for name in order[:K]]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:K]
    first = next((rank for rank, hit in enumerate(hits, 1) if hit), None)
    return {
        "nDCG@10": discounted(gains) / discounted(ideal),
        "MRR@10": 1 / first if first is not None and first <= K else 0.0,
        "recall@10": sum(hits[:K]) / len(relevant),
        "MAP": sum(sum(hits[:n]) / n for n, hit in enumerate(hits, 1) if hit) / len(relevant),
        "success@1": float(hits[:1] == [True]),
    }


def discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def made_up(queries: int, seed: int) -> tuple[Judged, dict[str, list[str]]]:
    draw = random.Random(seed)
    corpus = {f"d{n}": f"text {n}" for n in range(60)}
    grades = {
        f"q{n}": {name: draw.choice([-1, 0, 1, 2, 3]) for name in draw.sample(list(corpus), 8)}
        | {"d0": 1}
        for n in range(queries)
    }
    orders = {query: draw.sample(list(corpus), draw.randint(0, 40)) for query in grades}
    return Judged("made up", {query: query for query in grades}, corpus, grades), orders


def test_every_measure_of_every_query_equals_a_second_implementation() -> None:
    judged, orders = made_up(queries=80, seed=1)
    measured = measure(judged, orders, K)
    for index, query in enumerate(measured.queries):
        for name, value in reference(judged.grades[query], orders[query]).items():
            assert measured.values[name][index] == pytest.approx(value, abs=1e-9), (query, name)


def test_a_query_without_candidates_counts_as_nothing_found() -> None:
    judged, orders = made_up(queries=2, seed=2)
    measured = measure(judged, {**orders, "q1": []}, K)
    assert [values[1] for values in measured.values.values()] == [0.0] * 5


def test_the_mean_is_over_all_queries() -> None:
    judged = Judged("two", {"a": "a", "b": "b"}, {"x": "x"}, {"a": {"x": 1}, "b": {"x": 1}})
    assert measure(judged, {"a": ["x"], "b": []}, K).means["success@1"] == 0.5


@pytest.mark.anyio
async def test_eval_agrees_with_the_evaluator_of_sentence_transformers(handbook: Judged) -> None:
    judged = handbook.sample(6, seed=3)
    grades = {query: dict.fromkeys(judged.relevant(query), 1) for query in judged.queries}
    judged = Judged("binary", judged.queries, judged.corpus, grades)
    every = list(judged.corpus)
    orders = {query: sorted({*judged.relevant(query), *every[::3]}) for query in judged.queries}
    async with open_model(load({}, device="cpu")) as served:
        scorer = LocalScorer(served.card.model, served.reranker)
        answers = await score_all(scorer, judged, orders)
    ours = measure(judged, reorder(orders, answers), K).means
    samples: list[dict[str, str | list[str]]] = [
        {
            "query": text,
            "positive": judged.texts(judged.relevant(query)),
            "documents": judged.texts(orders[query]),
        }
        for query, text in judged.queries.items()
    ]
    evaluator = CrossEncoderRerankingEvaluator(samples, at_k=K, write_csv=False)
    model: CrossEncoder = CrossEncoder(ModelSpec().source, device="cpu", local_files_only=True)
    theirs = evaluator(model.float())
    assert ours["nDCG@10"] == pytest.approx(theirs["ndcg@10"], abs=1e-9)
    assert ours["MRR@10"] == pytest.approx(theirs["mrr@10"], abs=1e-9)
    assert ours["MAP"] == pytest.approx(theirs["map"], abs=1e-9)
