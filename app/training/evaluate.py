"""Judged collections, reranked: who puts the relevant documents on top?

python -m app.training.evaluate COLLECTION... --model FOLDER [--sample 60]
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from app.rerank.engine.duet import Duet
from app.training.bundled import load
from app.training.data import read_lines
from app.training.scoring import evidence_of, score

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One query and the documents to rerank, BM25's best first, with its scores and the grades."""

    query: str
    documents: list[str]
    bm25: Scores
    gains: NDArray[np.int64]
    ideal: list[int]


def read_grades(path: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    return grades


def read_tasks(folder: Path, *, depth: int = 100, sample: int = 60, seed: int = 0) -> list[Task]:
    corpus = {
        row["_id"]: f"{row.get('title') or ''} {row['text']}".strip()
        for row in read_lines(folder / "corpus.jsonl.xz")
    }
    texts = {row["_id"]: row["text"] for row in read_lines(folder / "queries.jsonl.xz")}
    grades = read_grades(folder / "qrels.tsv")
    judged = [query for query in texts if any(g > 0 for g in grades.get(query, {}).values())]
    order = np.random.default_rng(seed).permutation(len(judged))[:sample]
    chosen = [judged[n] for n in sorted(order)]
    pools = {}
    if (folder / "candidates.jsonl.xz").exists():
        pools = {r["_id"]: r["candidates"] for r in read_lines(folder / "candidates.jsonl.xz")}
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(k1=0.9, b=0.4)

    def words(lines: Sequence[str]) -> list[list[str]]:
        tokens: list[list[str]] = bm25s.tokenize(
            list(lines), stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False
        )
        return tokens

    index.index(words(list(corpus.values())), show_progress=False)
    names = list(corpus)
    numbers = {name: n for n, name in enumerate(names)}
    tasks = []
    for query, tokens in zip(chosen, words([texts[q] for q in chosen]), strict=True):
        scores = index.get_scores(tokens)
        pool = [numbers[name] for name in pools.get(query, [])] or range(len(names))
        ranked = sorted(pool, key=lambda n: -scores[n])[:depth]
        gains = grades[query]
        tasks.append(
            Task(
                query=texts[query],
                documents=[corpus[names[n]] for n in ranked],
                bm25=scores[ranked].astype(np.float64),
                gains=np.array([max(gains.get(names[n], 0), 0) for n in ranked]),
                ideal=sorted((g for g in gains.values() if g > 0), reverse=True),
            )
        )
    return tasks


def ndcg(task: Task, scores: Scores, depth: int = 10) -> float:
    discount = 1 / np.log2(np.arange(2, depth + 2))
    ranked = task.gains[np.argsort(-scores, kind="stable")][:depth]
    ideal = np.array(task.ideal[:depth])
    return float(ranked @ discount[: len(ranked)] / (ideal @ discount[: len(ideal)]))


def standard(scores: Scores) -> Scores:
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))


def fuse_ranks(*lists: Scores, offset: int = 60) -> Scores:
    ranks = [np.argsort(np.argsort(-scores, kind="stable")) for scores in lists]
    return np.asarray(sum(1 / (offset + 1 + rank) for rank in ranks))


def windows(text: str, words: int = 220, step: int = 160) -> list[str]:
    """A long document in overlapping pieces; a short one whole."""
    found = text.split()
    if len(found) <= words + 60:
        return [text]
    return [" ".join(found[first : first + words]) for first in range(0, len(found) - 60, step)]


def judge(model: Duet, tokenizer: PreTrainedTokenizerFast, task: Task) -> dict[str, Scores]:
    """Each ranker's scores: a document's is that of its best window."""
    pieces = [windows(text) for text in task.documents]
    pairs = [(task.query, piece) for group in pieces for piece in group]
    evidence = evidence_of(model, tokenizer, pairs, length=512)
    ends = np.cumsum([0, *map(len, pieces)])[:-1]
    cosine = np.maximum.reduceat(evidence[:, 0].numpy().astype(np.float64), ends)
    logits = score(model, tokenizer, pairs)
    return {
        "bm25": task.bm25,
        "cosine": cosine,
        "fused ranks": fuse_ranks(cosine, task.bm25),
        "fused scores": standard(cosine) + 0.5 * standard(task.bm25),
        "model": np.maximum.reduceat(logits, ends),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m app.training.evaluate",
        description=__doc__,
        epilog="cosine is the bi-encoder's own where the gates are shut",
    )
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=60)
    given = parser.parse_args(arguments)
    model, tokenizer = load(given.model)
    for folder in given.collections:
        tasks = read_tasks(folder, sample=given.sample)
        judged = [(task, judge(model, tokenizer, task)) for task in tasks]
        means = {
            name: float(np.mean([ndcg(task, scores[name]) for task, scores in judged]))
            for name in judged[0][1]
        }
        figures = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        print(f"{folder.name} ({len(tasks)} queries): {figures}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
