"""Reads the quantities of both periods from Prometheus, block by block.

`increase` extrapolates to the ends of each block, so counts are not whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray

from app.evaluation.drift.collecting import Windows
from app.evaluation.drift.quantity import Pair, Quantity
from app.evaluation.drift.times import Window
from app.evaluation.measures.clusters import Clusters
from app.evaluation.measures.measures import Values
from app.evaluation.problems import NotMeasurable, ServerFailed

SECONDS = 120.0
# Prometheus refuses a query with more.
MAX_BLOCKS = 11_000
DISTRIBUTIONS = (("top_score", "top score"), ("score_gap", "score gap"))
# All that a service counted before it counted the best score of each ranking.
ALL_SCORES = ("score", "scores of all documents")
LABELS = ("model", "engine", "dtype", "version")
Row = dict[float, float]


class Histogram(NamedTuple):
    """`counts` has the values at or below each of the `edges` for each block."""

    times: Values
    edges: Values
    counts: NDArray[np.float64]
    sizes: Values
    sums: Values

    def at(self, edges: Values) -> Clusters:
        columns = np.searchsorted(self.edges, edges)
        return Clusters(self.counts[:, columns], self.sizes).filled()

    @property
    def means(self) -> Clusters:
        return Clusters(self.sums[:, None], self.sizes).filled()


class Traffic(NamedTuple):
    """When requests came, and how many; and what ran."""

    times: Values
    sizes: Values
    cards: Sequence[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """`match` selects the series, as in `job="rerankd"`. `block` is in seconds."""

    client: httpx.Client
    match: str
    block: int

    def quantities(self, windows: Windows) -> list[Quantity]:
        measured = [self._distribution(name, title, windows) for name, title in DISTRIBUTIONS]
        distributions = [quantity for quantity in measured if quantity is not None]
        if not distributions and (scores := self._distribution(*ALL_SCORES, windows)) is not None:
            distributions = [scores]
        return [
            *distributions,
            *self._share(
                "not_known", "“does not know”", "answers", ("outcome", "not_found"), windows
            ),
            *self._share("useful", "useful answers", "feedback", ("useful", "up"), windows),
        ]

    def traffic(self, window: Window) -> Traffic:
        for name, _ in (*DISTRIBUTIONS[:1], ALL_SCORES):
            histogram = self._histogram(name, window)
            if histogram is not None:
                return Traffic(histogram.times, histogram.sizes, self._cards(window))
        return Traffic(np.zeros(0), np.zeros(0), self._cards(window))

    def _cards(self, window: Window) -> list[dict[str, object]]:
        span = f"{round(window.end - window.start)}s"
        build = f"max_over_time(rerankd_build_info{{{self.match}}}[{span}])"
        rows = self._get(
            "query", query=f"count by ({','.join(LABELS)}) ({build})", time=str(window.end)
        )
        return [dict(series["metric"]) for series in rows]

    def _distribution(self, name: str, title: str, windows: Windows) -> Quantity | None:
        before, after = (self._histogram(name, window) for window in windows)
        if before is None or after is None:
            return None
        # Two versions of the service may have different buckets.
        edges = np.intersect1d(before.edges, after.edges)
        return Quantity(
            name,
            title,
            "shift",
            "block",
            Pair(before.means, after.means),
            Pair(before.at(edges), after.at(edges)),
            edges,
        )

    def _histogram(self, name: str, window: Window) -> Histogram | None:
        metric = f"rerankd_{name}"
        buckets = {
            float(series["metric"]["le"]): row_of(series)
            for series in self._increases(f"{metric}_bucket", "le", window)
        }
        if inf not in buckets:
            return None
        times = sorted(buckets[inf])
        edges = sorted(buckets)
        table = np.array([[buckets[edge].get(time, 0.0) for edge in edges] for time in times])
        # Each series is extrapolated on its own.
        table = np.maximum.accumulate(table, axis=1)
        sums = [row_of(series) for series in self._increases(f"{metric}_sum", "", window)]
        totals = np.array([sum(row.get(time, 0.0) for row in sums) for time in times])
        started = np.array(times) - self.block
        return Histogram(started, np.array(edges[:-1]), table[:, :-1], table[:, -1], totals)

    def _share(
        self, name: str, title: str, metric: str, part: tuple[str, str], windows: Windows
    ) -> list[Quantity]:
        """Of a counter with a label, the share of one value of the label."""
        sides = []
        for window in windows:
            label, value = part
            rows = {
                series["metric"].get(label, ""): row_of(series)
                for series in self._increases(f"rerankd_{metric}_total", label, window)
            }
            times = sorted({time for row in rows.values() for time in row})
            own = np.array([rows.get(value, {}).get(time, 0.0) for time in times])
            every = np.array([sum(row.get(time, 0.0) for row in rows.values()) for time in times])
            sides.append(Clusters(own.reshape(-1, 1), every).filled())
        if not any(side.count for side in sides):
            return []
        judges = name == "useful"
        return [Quantity(name, title, "share", "block", Pair(*sides), judges=judges)]

    def _increases(self, metric: str, label: str, window: Window) -> list[Any]:
        """By label, for each whole block of the period."""
        blocks = int((window.end - window.start) // self.block)
        if blocks < 1 or blocks > MAX_BLOCKS:
            raise NotMeasurable(
                f"the period has {blocks} whole blocks; --block must give 1 to {MAX_BLOCKS}"
            )
        inner = f"increase({metric}{{{self.match}}}[{self.block}s])"
        return self._get(
            "query_range",
            query=f"sum by ({label}) ({inner})",
            start=str(window.end - (blocks - 1) * self.block),
            end=str(window.end),
            step=str(self.block),
        )

    def _get(self, path: str, **parameters: str) -> list[Any]:
        url = f"api/v1/{path}"
        try:
            response = self.client.post(url, data=parameters)
            answer = response.json()
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerFailed(f"{self.client.base_url}: {reason}") from error
        except ValueError as error:
            raise ServerFailed(
                f"{self.client.base_url}{url} answered {response.status_code}, not with JSON"
            ) from error
        if not isinstance(answer, dict) or answer.get("status") != "success":
            sentence = answer.get("error") if isinstance(answer, dict) else "no object"
            raise ServerFailed(f"{self.client.base_url}: {sentence}")
        result: list[Any] = answer["data"]["result"]
        return result


def row_of(series: dict[str, Any]) -> Row:
    values = ((float(time), float(value)) for time, value in series["values"])
    return {time: value for time, value in values if value == value}  # noqa: PLR0124 (NaN is not)
