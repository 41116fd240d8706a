"""The rows of a bulk run: with documents of their own, or with candidates from a corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from loadtest.workload import CHUNK, SHORT, Request, Texts

DOCUMENTS = 32


class Rows(Protocol):
    def request(self) -> Request:
        """The next row, as the service is asked for it."""
        ...

    def write(self, folder: Path, pairs: int) -> list[str]:
        """The next rows in a file. Returns the input and flags of `rerankd batch`."""
        ...


class FreshRows:
    """No document occurs twice."""

    def __init__(self, seed: int) -> None:
        self._texts = Texts(SHORT, seed)

    def request(self) -> Request:
        return self._texts.request(DOCUMENTS)

    def write(self, folder: Path, pairs: int) -> list[str]:
        requests = (self.request() for _ in range(pairs // DOCUMENTS))
        rows = ({"query": each.query, "documents": each.documents} for each in requests)
        return [write_lines(folder / "rows.jsonl", rows)]


class CandidateRows:
    """Each document of the corpus is equally likely in a row, and at most once there."""

    def __init__(self, documents: int, seed: int) -> None:
        """The corpus is the same with each seed."""
        self._corpus = Texts(CHUNK, seed=0).request(documents).documents
        self._queries = Texts(CHUNK, seed)
        self._chance = random.Random(seed)

    def request(self) -> Request:
        query, candidates = self._row()
        return Request(query, tuple(self._corpus[index] for index in candidates))

    def write(self, folder: Path, pairs: int) -> list[str]:
        drawn = (self._row() for _ in range(pairs // DOCUMENTS))
        rows = ({"query": query, "candidates": candidates} for query, candidates in drawn)
        texts = ({"id": index, "text": text} for index, text in enumerate(self._corpus))
        source = write_lines(folder / "rows.jsonl", rows)
        corpus = write_lines(folder / "corpus.jsonl", texts)
        return [source, "--corpus", corpus, "--block-pairs", str(pairs)]

    def _row(self) -> tuple[str, list[int]]:
        query = self._queries.request(0).query
        return query, self._chance.sample(range(len(self._corpus)), DOCUMENTS)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    with path.open("w") as stream:
        stream.writelines(f"{json.dumps(row)}\n" for row in rows)
    return str(path)
