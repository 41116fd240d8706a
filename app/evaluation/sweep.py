"""Compares all initial_k, final_k and models on the same queries: quality and latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.measures.bootstrap import Difference, difference
from app.evaluation.measures.measures import Measured, Values, measure
from app.evaluation.reports.verdict import few
from app.evaluation.scoring import Answer, Latency, Scorer, reorder, score_all

# For each initial_k except the largest, where all queries are timed.
TIMED_QUERIES = 50


class Setting(NamedTuple):
    """`model` is None for the first stage alone."""

    model: str | None
    initial_k: int
    final_k: int


@dataclass(frozen=True, slots=True)
class Point:
    setting: Setting
    measured: Measured
    latency: Latency
    # Compared with the first stage.
    gain: Difference

    @property
    def quality(self) -> Values:
        return self.measured.values[f"nDCG@{self.setting.final_k}"]


async def measure_model(
    scorer: Scorer, judged: Judged, orders: Orders, initial_ks: Sequence[int], concurrency: int
) -> tuple[Mapping[str, Answer], dict[int, Latency]]:
    """Scores for the largest initial_k, also valid for the smaller ones; times for each."""
    timed = judged.only(range(min(TIMED_QUERIES, len(judged.queries))))
    latencies: dict[int, Latency] = {}
    answers: Mapping[str, Answer] = {}
    for initial_k in sorted(initial_ks):
        largest = initial_k == max(initial_ks)
        cut = {query: order[:initial_k] for query, order in orders.items()}
        answers = await score_all(scorer, judged if largest else timed, cut, concurrency)
        seconds = [answer.seconds for answer in answers.values()]
        latencies[initial_k] = Latency.of(seconds or [0.0])
    return answers, latencies


def first_points(judged: Judged, orders: Orders, final_ks: Sequence[int], seed: int) -> list[Point]:
    still = Latency(0.0, 0.0, 0.0)
    return [
        make_point(judged, Setting(None, 0, final_k), orders, orders, still, seed)
        for final_k in final_ks
    ]


def model_points(
    model: str,
    judged: Judged,
    orders: Orders,
    answers: Mapping[str, Answer],
    latencies: Mapping[int, Latency],
    final_ks: Sequence[int],
    seed: int,
) -> list[Point]:
    return [
        make_point(
            judged,
            Setting(model, initial_k, final_k),
            orders,
            reorder(orders, answers, initial_k),
            latency,
            seed,
        )
        for final_k in final_ks
        for initial_k, latency in latencies.items()
    ]


def make_point(
    judged: Judged, setting: Setting, orders: Orders, order: Orders, latency: Latency, seed: int
) -> Point:
    """If final_k exceeds initial_k, only reranked candidates count."""
    before, after = (measure(judged, ranking, setting.final_k) for ranking in (orders, order))
    name = f"nDCG@{setting.final_k}"
    gain = difference(before.values[name], after.values[name], before.alike, seed)
    return Point(setting, after, latency, gain)


def advise(points: Sequence[Point], seed: int) -> str:
    """For one final_k: the cheapest setting that is not measurably below the best."""
    best = max(points, key=lambda point: float(point.quality.mean()))
    near = [point for point in points if not loss(point, best, seed).certain]
    cheapest = min(near, key=lambda point: (point.latency.p50, -float(point.quality.mean())))
    final_k = best.setting.final_k
    advice = f"{describe(cheapest)} is not measurably worse"
    if best.setting.model is None:
        advice = "reranking is not worth its time"
    elif cheapest is best:
        advice = "all cheaper settings are measurably worse"
    return f"For final_k {final_k}, {describe(best)} ranks best; {advice}{few(best.gain)}."


def loss(point: Point, best: Point, seed: int) -> Difference:
    return difference(point.quality, best.quality, best.measured.alike, seed)


def describe(point: Point) -> str:
    model, initial_k, final_k = point.setting
    quality = f"nDCG@{final_k} {point.quality.mean():.3f}"
    if model is None:
        return f"the first stage alone ({quality})"
    return f"{model} with initial_k {initial_k} ({quality}, {point.latency.p50:.0f} ms per query)"


def by_final_k(points: Sequence[Point]) -> dict[int, list[Point]]:
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(point.setting.final_k, []).append(point)
    return groups
