"""Measures of a ranking for each query, computed as in trec_eval by ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, Success, nDCG
from numpy.typing import NDArray

from app.evaluation.data.judged import Judged, Orders

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """Each measure's value for each query, in the order of the queries."""

    queries: Sequence[str]
    # A number for each query; queries with the same text share it.
    alike: Sequence[int]
    values: Mapping[str, Values]

    def mean(self, name: str) -> float:
        return float(self.values[name].mean())

    @property
    def means(self) -> dict[str, float]:
        return {name: self.mean(name) for name in self.values}


def measure_names(k: int) -> dict[str, ir_measures.Measure]:
    return {
        f"nDCG@{k}": nDCG @ k,
        f"MRR@{k}": RR @ k,
        f"recall@{k}": R @ k,
        "MAP": AP,
        "success@1": Success @ 1,
    }


def measure(judged: Judged, orders: Orders, k: int) -> Measured:
    """A query without candidates counts as 0."""
    queries = list(judged.queries)
    places = {query: index for index, query in enumerate(queries)}
    measures = measure_names(k)
    labels = {measure: name for name, measure in measures.items()}
    values = {name: np.zeros(len(queries)) for name in measures}
    grades = {query: dict(judged.grades[query]) for query in queries}
    run = {query: descending(orders[query]) for query in queries if orders[query]}
    for result in ir_measures.iter_calc(list(labels), grades, run):
        values[labels[result.measure]][places[result.query_id]] = result.value
    return Measured(queries, judged.alike(), values)


def descending(order: Sequence[str]) -> dict[str, float]:
    """Scores without ties, so that the order does not depend on the library."""
    return {name: float(len(order) - index) for index, name in enumerate(order)}
