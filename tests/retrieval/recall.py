"""Do all stores find the same? `python -m tests.retrieval.recall --passages 20000`.

Vectors in clusters, as those of real texts are, go to each store as `rerankd ingest` writes them;
then each is asked the same questions, of which half have a filter. An exact search in numpy says
which candidates are right.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.retrieval.opening import open_store_writer, open_stores, opening_of
from app.retrieval.store import Candidate, Search
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.stage import stage_of

K = 50
CLUSTERS = 50
COLORS = ["red", "green", "blue", "grey"]
BATCH = 500
# Of a filter that one passage in eight passes.
FILTERS = [{"color": color, "even": even} for color in COLORS for even in (True, False)]

Vectors = npt.NDArray[np.float32]


class Question(NamedTuple):
    vector: Sequence[float]
    filters: Mapping[str, Any]
    right: Sequence[str]


class Recall(NamedTuple):
    """Share of the right candidates: of all questions, and of the worst one."""

    mean: float
    worst: float
    fill_seconds: float
    search_seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    passages: Sequence[Candidate]
    vectors: Vectors
    questions: Sequence[Question]


def unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)


def make_sample(passages: int, questions: int, size: int, seed: int = 1) -> Sample:
    random = np.random.default_rng(seed)
    centers = random.normal(size=(CLUSTERS, size))
    spread = 0.7

    def draw(count: int) -> Vectors:
        chosen = centers[random.integers(CLUSTERS, size=count)]
        return unit(chosen + random.normal(scale=spread, size=(count, size)))

    facts = [{"color": COLORS[row % 4], "even": row % 8 < 4, "n": row} for row in range(passages)]
    texts = [Candidate(f"p{row}", f"passage {row}", fact) for row, fact in enumerate(facts)]
    vectors = draw(passages)
    drawn = []
    for row, vector in enumerate(draw(questions)):
        filters = FILTERS[row % len(FILTERS)] if row % 2 else {}
        right = [texts[each].id for each in best_rows(vectors, vector, facts, filters)]
        drawn.append(Question(vector.tolist(), filters, right))
    return Sample(texts, vectors, drawn)


def best_rows(
    vectors: Vectors,
    vector: Vectors,
    facts: Sequence[Mapping[str, Any]],
    filters: Mapping[str, Any],
) -> Sequence[int]:
    """By an exact search."""
    passed = np.array([filters.items() <= fact.items() for fact in facts])
    scores = np.where(passed, vectors @ vector, -np.inf)
    return [int(row) for row in np.argsort(-scores)[:K]]


async def measure(url: str, collection: str, sample: Sample) -> Recall:
    """Fills the store and asks it all questions, one after the other."""
    stage = stage_of([url], collection=collection, embedder=EMBEDDER)
    started = time.monotonic()
    writer = open_store_writer(opening_of(stage, url, 120.0, None))
    try:
        assert await writer.held() == []
        for start in range(0, len(sample.passages), BATCH):
            vectors = sample.vectors[start : start + BATCH].tolist()
            await writer.put(sample.passages[start : start + BATCH], vectors)
    finally:
        await writer.close()
    filled = time.monotonic()
    *others, store = open_stores(opening_of(stage, url, 60.0, None))
    try:
        shares = [await share(store.search, question) for question in sample.questions]
    finally:
        for each in (*others, store):
            await each.close()
    ended = time.monotonic()
    return Recall(float(np.mean(shares)), min(shares), filled - started, ended - filled)


async def share(search: Callable[[Search], Any], question: Question) -> float:
    query = Search("not read", K, question.vector, question.filters)
    candidates: Sequence[Candidate] = await search(query)
    assert len(candidates) <= K
    right = {candidate.id for candidate in candidates} & set(question.right)
    return len(right) / len(question.right)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("urls", nargs="*", help="more stores, such as chroma://127.0.0.1:8000")
    arguments = parser.parse_args()
    sample = make_sample(arguments.passages, arguments.questions, arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        embedded = [f"{kind}:{Path(folder) / kind}" for kind in ("sqlite", "faiss", "lancedb")]
        for url in [*embedded, *arguments.urls]:
            name = f"recall{time.time_ns()}"
            recall = asyncio.run(measure(url, name, sample))
            print(
                f"{url.partition(':')[0]}: recall@{K} {recall.mean:.4f}, worst {recall.worst:.2f}; "
                f"filled in {recall.fill_seconds:.0f} s, {len(sample.questions)} questions in "
                f"{recall.search_seconds:.1f} s"
            )


if __name__ == "__main__":
    main()
