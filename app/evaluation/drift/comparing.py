"""Reads both periods from files and Prometheus, and compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

import httpx

from app.evaluation.drift.collecting import Windows, collect
from app.evaluation.drift.judging import Limits, judge
from app.evaluation.drift.period import Period
from app.evaluation.drift.prometheus import SECONDS, Prometheus
from app.evaluation.drift.quantity import Quantity, quantities_of
from app.evaluation.drift.study import DriftStudy, Facts, facts_of, facts_of_traffic
from app.evaluation.drift.times import Window
from app.evaluation.measures.clusters import ROUNDS
from app.evaluation.problems import BadInput


def compare_periods(
    files: Sequence[Path],
    windows: Windows | None,
    *,
    block: float,
    route: str = "",
    k: int = 10,
    limits: Limits,
    seed: int = 0,
    rounds: int = ROUNDS,
    prometheus: str | None = None,
    token_file: Path | None = None,
    match: str = "",
) -> DriftStudy:
    """A log is used before Prometheus, as it has each value; and both before the scores of the
    feedback, as only some answers are judged."""
    periods = collect(files, windows, route)
    if prometheus is None and not any(period.requests for period in periods):
        periods = periods[0].with_scores_of_feedback(), periods[1].with_scores_of_feedback()
    facts = [facts_of(period, span) for period, span in zip(periods, spans(windows), strict=True)]
    quantities = quantities_of(*periods, block, k)
    if prometheus is not None and windows is not None:
        with open_client(prometheus, token_file) as client:
            source = Prometheus(client, match, round(block))
            quantities = merged(quantities, source.quantities(windows))
            facts = [
                with_traffic(own, period, source, window)
                for own, period, window in zip(facts, periods, windows, strict=True)
            ]
    before, after = facts
    return DriftStudy(before, after, judge(quantities, limits, seed, rounds), limits, block)


def spans(windows: Windows | None) -> Sequence[tuple[float, float] | None]:
    """The periods that have both ends."""
    return [
        (window.start, window.end) if isfinite(window.end - window.start) else None
        for window in windows or (Window(), Window())
    ]


def merged(own: Sequence[Quantity], others: Sequence[Quantity]) -> list[Quantity]:
    quantities = {each.name: each for each in others}
    for each in own:
        if any(clusters.count for clusters in each.means):
            quantities[each.name] = each
        else:
            quantities.setdefault(each.name, each)
    return list(quantities.values())


def with_traffic(own: Facts, period: Period, source: Prometheus, window: Window) -> Facts:
    if period.requests:
        return own
    traffic = facts_of_traffic(source.traffic(window), (window.start, window.end), own.judged)
    return replace(
        traffic,
        models=traffic.models or own.models,
        without_ranking=own.without_ranking,
    )


def open_client(url: str, token_file: Path | None) -> httpx.Client:
    headers = {}
    if token_file is not None:
        try:
            headers["Authorization"] = f"Bearer {token_file.read_text().strip()}"
        except OSError as error:
            reason = error.strerror
            raise BadInput(token_file, None, f"cannot be read: {reason}") from error
    return httpx.Client(base_url=url, headers=headers, timeout=SECONDS)
