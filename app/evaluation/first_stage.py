"""The first ranking of candidates: by BM25, or the user's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import bm25s
import numpy as np
import Stemmer

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.data.reading import read_fields
from app.evaluation.problems import BadInput, NotMeasurable
from app.evaluation.progress import track

# It logs every index that it builds.
logging.getLogger("bm25s").setLevel(logging.WARNING)

# As in Anserini's and BEIR's baselines.
K1, B = 0.9, 0.4
NO_STEMMING = "none"


class Bm25:
    def __init__(self, corpus: Mapping[str, str], language: str = "english") -> None:
        self._stemmer = None if language == NO_STEMMING else stemmer(language)
        self._stopwords = "en" if language == "english" else None
        self._names = list(corpus)
        self._places = {name: index for index, name in enumerate(self._names)}
        self._index = bm25s.BM25(k1=K1, b=B)
        words = self._words(list(corpus.values()))
        self._empty = not any(words)
        if not self._empty:
            self._index.index(words, show_progress=False)

    def best(self, query: str, depth: int) -> list[str]:
        """Documents that share a word with the query, best first."""
        scores = self._scores(query)
        order = np.argsort(-scores, kind="stable")[:depth]
        return [self._names[index] for index in order if scores[index] > 0]

    def sort(self, query: str, pool: Sequence[str], depth: int) -> list[str]:
        order = np.argsort(-self.scores(query, pool), kind="stable")[:depth]
        return [pool[index] for index in order]

    def scores(self, query: str, pool: Sequence[str]) -> np.ndarray:
        return self._scores(query)[[self._places[name] for name in pool]]

    def _scores(self, query: str) -> np.ndarray:
        words = self._words([query])[0]
        if self._empty or not words:
            return np.zeros(len(self._names), dtype=np.float32)
        return np.asarray(self._index.get_scores(words))

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = bm25s.tokenize(
            list(texts),
            stopwords=self._stopwords,
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return words


def stemmer(language: str) -> Stemmer.Stemmer:
    algorithms = Stemmer.algorithms()
    if language not in algorithms:
        names = ", ".join([*algorithms, NO_STEMMING])
        raise NotMeasurable(f"unknown language {language}; known: {names}")
    return Stemmer.Stemmer(language)


def candidates(judged: Judged, depth: int, language: str, *, own_ranks: bool) -> Orders:
    """The best `depth` candidates for each query; with `own_ranks`, in the order of the data."""
    if own_ranks:
        if not judged.ranked:
            raise NotMeasurable(f"{judged.name} contains no first ranking: use --run")
        return {query: judged.pools[query][:depth] for query in judged.queries}
    index = Bm25(judged.corpus, language)
    return {
        query: index.sort(text, judged.pools[query], depth)
        if query in judged.pools
        else index.best(text, depth)
        for query, text in track(judged.queries.items(), "first stage")
    }


def read_run(path: Path, judged: Judged, depth: int) -> Orders:
    """Reads TREC's run format: query, Q0, document, rank, score, tag; the score decides."""
    ranks: dict[str, list[tuple[float, str]]] = {query: [] for query in judged.queries}
    for number, fields in read_fields(path, None, (6,)):
        query, _, document, _, score, _ = fields
        if document not in judged.corpus:
            raise BadInput(path, number, f"document {document} is not in the corpus")
        try:
            ranks.setdefault(query, []).append((-float(score), document))
        except ValueError as error:
            raise BadInput(path, number, f"score {score!r} is not a number") from error
    if not any(ranks[query] for query in judged.queries):
        raise BadInput(path, None, f"contains no rank for any query of {judged.name}")
    return {
        query: [name for _, name in sorted(ranks[query], key=lambda rank: rank[0])][:depth]
        for query in judged.queries
    }
