"""Judged data: queries, documents, and which of them are relevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.evaluation.problems import NotMeasurable

Orders = Mapping[str, Sequence[str]]  # query id to document ids, best first


@dataclass(frozen=True, slots=True)
class Judged:
    name: str
    queries: Mapping[str, str]
    corpus: Mapping[str, str]
    grades: Mapping[str, Mapping[str, int]]  # 0 and below: judged, and not relevant
    pools: Orders = field(default_factory=dict)  # the candidates that came with the data
    ranked: bool = False  # the pools are in the order of the user's own first stage

    def relevant(self, query: str) -> list[str]:
        return [one for one, grade in self.grades.get(query, {}).items() if grade > 0]

    def present(self, query: str) -> list[str]:
        """The relevant documents whose texts are in the data."""
        return [one for one in self.relevant(query) if one in self.corpus]

    def texts(self, documents: Sequence[str]) -> list[str]:
        return [self.corpus[one] for one in documents]

    def alike(self) -> list[int]:
        """For each query a number, from 0; those that ask the same share one."""
        numbers: dict[str, int] = {}
        asked = (" ".join(text.casefold().split()) for text in self.queries.values())
        return [numbers.setdefault(text, len(numbers)) for text in asked]

    def measurable(self) -> Judged:
        """Only the queries for which something is relevant; the others say nothing."""
        kept = {query: text for query, text in self.queries.items() if self.relevant(query)}
        if not kept:
            raise NotMeasurable(f"{self.name}: no query has a relevant document")
        return replace(self, queries=kept)

    def sample(self, count: int, seed: int) -> Judged:
        """At most `count` queries, drawn by the seed, in the order of the data."""
        if not count or count >= len(self.queries):
            return self
        return self.only(sorted(permuted(len(self.queries), seed)[:count]))

    def only(self, places: Sequence[int]) -> Judged:
        names = list(self.queries)
        kept = {names[place]: self.queries[names[place]] for place in places}
        return replace(self, queries=kept)


def permuted(count: int, seed: int) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).permutation(count)]
