"""Baselines for a reranker on judged collections: BM25, the bi-encoder, and both fused.

python -m app.training.bundled.rivals COLLECTION... [--sample 60]

The candidates are those of `rerankd eval`, so that the results can be compared.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.data.sources import read_judged
from app.evaluation.first_stage import Bm25, candidates
from app.evaluation.measures.measures import measure
from app.training.bundled.__main__ import official_base

Scores = NDArray[np.float64]
# A score for each candidate.
ScoresByQuery = Mapping[str, Scores]
# The bi-encoder reads 256 tokens.
WINDOW_WORDS, WINDOW_STEP = 160, 120
RANK_FUSION_OFFSET = 60


def standard(scores: Scores) -> Scores:
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))


def fuse_ranks(*lists: Scores) -> Scores:
    ranks = [np.argsort(np.argsort(-scores, kind="stable")) for scores in lists]
    return np.asarray(sum(1 / (RANK_FUSION_OFFSET + 1 + rank) for rank in ranks))


def windows(text: str) -> list[str]:
    """Overlapping windows of a long document; a short document as a whole."""
    words = text.split()
    if len(words) <= WINDOW_WORDS:
        return [text]
    return [
        " ".join(words[at : at + WINDOW_WORDS])
        for at in range(0, len(words) - WINDOW_WORDS + WINDOW_STEP, WINDOW_STEP)
    ]


def cosines(encoder: SentenceTransformer, judged: Judged, orders: Orders) -> ScoresByQuery:
    """The score of a document is that of its best window."""
    names = sorted({name for order in orders.values() for name in order})
    pieces = [windows(judged.corpus[name]) for name in names]
    starts = dict(zip(names, np.cumsum([0, *map(len, pieces)])[:-1], strict=True))
    counts = dict(zip(names, map(len, pieces), strict=True))
    states = embed(encoder, [piece for group in pieces for piece in group])
    queries = embed(encoder, [judged.queries[query] for query in orders])
    return {
        query: np.array(
            [(states[starts[n] : starts[n] + counts[n]] @ state).max() for n in orders[query]]
        )
        for query, state in zip(orders, queries, strict=True)
    }


def embed(encoder: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    device = encoder.device.type
    with torch.autocast(device, torch.bfloat16):
        return np.asarray(encoder.encode(list(texts), normalize_embeddings=True))


def words_of(judged: Judged, orders: Orders) -> ScoresByQuery:
    index = Bm25(judged.corpus)
    return {
        query: index.scores(judged.queries[query], order).astype(np.float64)
        for query, order in orders.items()
    }


def rivals(encoder: SentenceTransformer, judged: Judged, depth: int) -> dict[str, float]:
    """Mean nDCG@10 of each baseline."""
    orders = candidates(judged, depth, "english", own_ranks=False)
    filled = {query: order for query, order in orders.items() if order}
    words, alike = words_of(judged, filled), cosines(encoder, judged, filled)
    scores: dict[str, ScoresByQuery] = {
        "BM25": words,
        "bi-encoder": alike,
        "fused ranks": {q: fuse_ranks(alike[q], words[q]) for q in filled},
        "fused scores": {q: standard(alike[q]) + 0.5 * standard(words[q]) for q in filled},
    }
    return {
        name: measure(judged, {**orders, **sort(filled, by_query)}, 10).mean("nDCG@10")
        for name, by_query in scores.items()
    }


def sort(orders: Orders, scores: ScoresByQuery) -> dict[str, Sequence[str]]:
    return {
        query: [order[index] for index in np.argsort(-scores[query], kind="stable")]
        for query, order in orders.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m app.training.bundled.rivals", description=__doc__
    )
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--sample", type=int, default=0, help="queries per collection; 0: all [0]")
    parser.add_argument("--depth", type=int, default=100, help="candidates per query [100]")
    options = parser.parse_args(arguments)
    encoder = SentenceTransformer(str(official_base()), local_files_only=True)
    for folder in options.collections:
        judged = read_judged(folder).sample(options.sample, seed=0)
        means = rivals(encoder, judged, options.depth)
        figures = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        print(f"{folder.name} ({len(judged.queries)} queries): {figures}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
