"""Compares the rankings before and after reranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.measures.bootstrap import Difference, difference
from app.evaluation.measures.measures import Measured, measure
from app.evaluation.scoring import Answer, Latency, reorder


@dataclass(frozen=True, slots=True)
class Move:
    """The ranks of a relevant document before and after, from 1."""

    query: str
    document: str
    before: int
    after: int

    @property
    def places(self) -> int:
        """Ranks gained; negative: ranks lost."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class Study:
    model: str
    data: str
    k: int
    initial_k: int
    first: Orders
    reranked: Orders
    before: Measured
    after: Measured
    differences: Mapping[str, Difference]
    moves: Sequence[Move]
    latency: Latency

    @property
    def main(self) -> str:
        """The deciding measure."""
        return f"nDCG@{self.k}"

    @property
    def queries(self) -> int:
        return len(self.before.queries)

    @property
    def worse(self) -> list[str]:
        """Queries that lost by the deciding measure, the greatest loss first."""
        gains = self.after.values[self.main] - self.before.values[self.main]
        order = np.argsort(gains, kind="stable")
        return [self.before.queries[index] for index in order if gains[index] < -1e-12]

    @property
    def better(self) -> int:
        return int((self.after.values[self.main] - self.before.values[self.main] > 1e-12).sum())


def compare(
    judged: Judged,
    orders: Orders,
    answers: Mapping[str, Answer],
    *,
    model: str,
    k: int,
    initial_k: int,
    seed: int,
) -> Study:
    reranked = reorder(orders, answers)
    before, after = measure(judged, orders, k), measure(judged, reranked, k)
    return Study(
        model=model,
        data=judged.name,
        k=k,
        initial_k=initial_k,
        first=orders,
        reranked=reranked,
        before=before,
        after=after,
        differences={
            name: difference(before.values[name], after.values[name], before.alike, seed)
            for name in before.values
        },
        moves=find_moves(judged, orders, reranked),
        latency=Latency.of([answer.seconds for answer in answers.values()] or [0.0]),
    )


def find_moves(judged: Judged, orders: Orders, reranked: Orders) -> list[Move]:
    moves = []
    for query in judged.queries:
        before = {name: rank for rank, name in enumerate(orders[query], 1)}
        after = {name: rank for rank, name in enumerate(reranked[query], 1)}
        moves += [
            Move(query, name, before[name], after[name])
            for name in judged.relevant(query)
            if name in before
        ]
    return moves
