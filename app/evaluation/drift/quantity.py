"""The quantities that are compared, as clusters of requests or of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.data.judged import Judged
from app.evaluation.drift.period import Judgement, Period, Series
from app.evaluation.measures.clusters import Clusters
from app.evaluation.measures.measures import Values, measure

# Points at which two distributions are compared.
MAX_EDGES = 512
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
Unit = Literal["block", "question"]
# Which limit says that a change is large enough to matter.
LimitName = Literal["shift", "share", "loss"]


class Pair(NamedTuple):
    before: Clusters
    after: Clusters


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of each request or verdict.

    Of a distribution, `shares` has the shares of requests at or below each of the `edges`.
    """

    name: str
    title: str
    limit: LimitName
    unit: Unit
    means: Pair
    shares: Pair | None = None
    edges: Values = field(default_factory=lambda: np.zeros(0))
    # Before and after; empty where only the buckets of a histogram are known.
    quantiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    # A fall makes the service worse, a rise better.
    judges: bool = False
    # Part of the verdict; others are only reported.
    decides: bool = True

    @property
    def tested(self) -> Pair:
        return self.means if self.shares is None else self.shares


def quantities_of(before: Period, after: Period, block: float, k: int) -> list[Quantity]:
    quantities = [
        distribution("top_score", "top score", before.tops, after.tops, block),
        distribution("score_gap", "score gap", before.gaps, after.gaps, block),
    ]
    if len(before.unknown) or len(after.unknown):
        means = Pair(in_blocks(before.unknown, block), in_blocks(after.unknown, block))
        quantities.append(Quantity("not_known", "“does not know”", "share", "block", means))
    if before.judgements or after.judgements:
        quantities += of_feedback(before.judgements, after.judgements, k)
    return quantities


def in_blocks(series: Series, block: float) -> Clusters:
    return Clusters.of(series.values[:, None], series.times // block)


def distribution(name: str, title: str, before: Series, after: Series, block: float) -> Quantity:
    together = np.concatenate([before.values, after.values])
    edges = cut_points(together)
    return Quantity(
        name,
        title,
        "shift",
        "block",
        Pair(in_blocks(before, block), in_blocks(after, block)),
        Pair(shares_of(before, edges, block), shares_of(after, edges, block)),
        edges,
        {
            quantile: (float(np.quantile(before.values, at)), float(np.quantile(after.values, at)))
            for quantile, at in QUANTILES.items()
            if len(before) and len(after)
        },
    )


def cut_points(values: Values) -> Values:
    different = np.unique(values)
    if len(different) <= MAX_EDGES:
        return different
    return np.unique(np.quantile(values, np.linspace(0, 1, MAX_EDGES), method="inverted_cdf"))


def shares_of(series: Series, edges: Values, block: float) -> Clusters:
    """For each block, the number of values at or below each edge."""
    names, rows = np.unique(series.times // block, return_inverse=True)
    columns = np.searchsorted(edges, series.values)
    count = len(names) * len(edges)
    table = np.bincount(rows * len(edges) + columns, minlength=count)
    sums = table.reshape(len(names), len(edges)).cumsum(1).astype(float)
    return Clusters(sums, np.bincount(rows, minlength=len(names)).astype(float))


def of_feedback(before: Sequence[Judgement], after: Sequence[Judgement], k: int) -> list[Quantity]:
    """The share of useful answers, and the ranks of what the verdicts name as relevant."""
    useful = Pair(*(useful_of(judgements) for judgements in (before, after)))
    quantities = [Quantity("useful", "useful answers", "share", "question", useful, judges=True)]
    quality = [quality_of(judgements, k) for judgements in (before, after)]
    for name, decides in ((f"nDCG@{k}", True), (f"MRR@{k}", False)):
        means = Pair(*(clusters[name] for clusters in quality))
        quantities.append(
            Quantity(name, name, "loss", "question", means, judges=True, decides=decides)
        )
    return quantities


def useful_of(judgements: Sequence[Judgement]) -> Clusters:
    values = np.array([float(each.useful) for each in judgements])
    return Clusters.of(values[:, None], questions(judgements))


def quality_of(judgements: Sequence[Judgement], k: int) -> dict[str, Clusters]:
    """Only of verdicts that name a relevant document, on answers whose ranking is recorded."""
    measurable = [each for each in judgements if each.relevant and each.order is not None]
    names = [str(number) for number in range(len(measurable))]
    judged = Judged(
        "feedback",
        dict(zip(names, (each.question for each in measurable), strict=True)),
        {},
        {
            name: dict.fromkeys(each.relevant, 1)
            for name, each in zip(names, measurable, strict=True)
        },
    )
    orders = {name: each.order or () for name, each in zip(names, measurable, strict=True)}
    values: Mapping[str, Values] = measure(judged, orders, k).values
    labels = questions(measurable)
    return {name: Clusters.of(column[:, None], labels) for name, column in values.items()}


def questions(judgements: Sequence[Judgement]) -> NDArray[np.float64]:
    """A number for each; verdicts on the same question have the same number."""
    texts = {str(number): each.question for number, each in enumerate(judgements)}
    return np.array(Judged("", texts, {}, {}).alike(), dtype=float)
