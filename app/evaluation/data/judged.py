"""Judged data: queries, documents, and which of them are relevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.evaluation.problems import NotMeasurable

# Query id to document ids, best first.
Orders = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Judged:
    name: str
    queries: Mapping[str, str]
    corpus: Mapping[str, str]
    # 0 or less: judged as not relevant.
    grades: Mapping[str, Mapping[str, int]]
    # The candidates in the data; `ranked`: in the order of the user's first stage.
    pools: Orders = field(default_factory=dict)
    ranked: bool = False

    def relevant(self, query: str) -> list[str]:
        return [document for document, grade in self.grades.get(query, {}).items() if grade > 0]

    def present(self, query: str) -> list[str]:
        """The relevant documents whose texts are in the data."""
        return [document for document in self.relevant(query) if document in self.corpus]

    def texts(self, documents: Sequence[str]) -> list[str]:
        return [self.corpus[document] for document in documents]

    def alike(self) -> list[int]:
        """A number for each query, from 0; queries with the same text have the same number."""
        numbers: dict[str, int] = {}
        questions = (" ".join(text.casefold().split()) for text in self.queries.values())
        return [numbers.setdefault(text, len(numbers)) for text in questions]

    def measurable(self) -> Judged:
        """Only the queries with a relevant document; the others cannot be measured."""
        kept = {query: text for query, text in self.queries.items() if self.relevant(query)}
        if not kept:
            raise NotMeasurable(f"{self.name}: no query has a relevant document")
        return replace(self, queries=kept)

    def sample(self, count: int, seed: int) -> Judged:
        """At most `count` random queries, in the order of the data; 0: all."""
        if not count or count >= len(self.queries):
            return self
        return self.only(sorted(permuted(len(self.queries), seed)[:count]))

    def only(self, places: Sequence[int]) -> Judged:
        names = list(self.queries)
        kept = {names[number]: self.queries[names[number]] for number in places}
        return replace(self, queries=kept)


def permuted(count: int, seed: int) -> list[int]:
    return [int(number) for number in np.random.default_rng(seed).permutation(count)]
