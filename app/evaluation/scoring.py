"""Scores the candidates, and measures the time of each query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.problems import NotMeasurable
from app.evaluation.progress import bar
from app.rerank.prefilter import NO_PREFILTER


class Scorer(Protocol):
    """Gives texts a score for a query: the local engine, or a remote service."""

    name: str

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...

    def with_prefilter(self, most: int) -> Scorer:
        """Scores the best `most` by their words only; the others come last."""
        ...


def prefiltered_name(name: str, most: int) -> str:
    return f"{name}, prefilter {most}"


def refuse_without_prefilter(warnings: Sequence[str]) -> None:
    for warning in warnings:
        if warning.endswith(NO_PREFILTER):
            raise NotMeasurable(warning)


class Answer(NamedTuple):
    scores: Sequence[float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per query."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        p50, p95, p99 = np.percentile(np.asarray(seconds) * 1000, [50, 95, 99])
        return cls(float(p50), float(p95), float(p99))


async def score_all(
    scorer: Scorer, judged: Judged, orders: Orders, concurrency: int = 1
) -> dict[str, Answer]:
    """Scores all queries that have candidates, at most `concurrency` at the same time."""
    gate = asyncio.Semaphore(concurrency)
    answers: dict[str, Answer] = {}
    queries = [query for query in judged.queries if orders[query]]
    with bar(len(queries), scorer.name) as step:

        async def ask(query: str) -> None:
            async with gate:
                started = perf_counter()
                scores = await scorer.score(judged.queries[query], judged.texts(orders[query]))
                answers[query] = Answer(scores, perf_counter() - started)
            step()

        try:
            async with asyncio.TaskGroup() as tasks:
                for query in queries:
                    tasks.create_task(ask(query))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
    return answers


def reorder(orders: Orders, answers: Mapping[str, Answer], depth: int | None = None) -> Orders:
    """The best `depth` candidates by score; equal scores keep the order of the first stage."""
    return {query: reordered(orders[query], answers.get(query), depth) for query in orders}


def reordered(order: Sequence[str], answer: Answer | None, depth: int | None) -> list[str]:
    if answer is None:
        return list(order)
    indexes = sorted(range(len(order[:depth])), key=lambda index: -answer.scores[index])
    return [order[index] for index in indexes]
