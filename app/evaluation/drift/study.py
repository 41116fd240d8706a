"""Both periods, what was found in them, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.evaluation.drift.judging import Finding, Limits, State, overall
from app.evaluation.drift.period import Period, weekday_shares
from app.evaluation.drift.prometheus import Traffic
from app.evaluation.measures.measures import Values

# Fields of a model card that change at each start and mean nothing for scores.
UNRELATED = frozenset(
    {
        *("time", "level", "event", "load_seconds", "choosing_engine", "scores"),
        *("max_batch_tokens", "max_queue_tokens"),
    }
)
MAX_DOCUMENT_RATIO = 1.25
MAX_WEEKDAY_DISTANCE = 0.25
# With fewer requests the shares of weekdays are chance.
MIN_REQUESTS_FOR_WEEKDAYS = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one period without a test."""

    start: float | None
    end: float | None
    requests: int
    judged: int
    models: Sequence[str]
    settings: Mapping[str, frozenset[str]]
    weekdays: Values
    documents: float | None = None  # of a request, the mean
    without_ranking: int = 0
    unscored: int = 0


@dataclass(frozen=True, slots=True)
class DriftStudy:
    before: Facts
    after: Facts
    findings: Sequence[Finding]
    limits: Limits
    block: float

    @property
    def state(self) -> State:
        return overall(self.findings)

    @property
    def warnings(self) -> list[str]:
        before, after = self.before, self.after
        warnings = [
            f"{name} changed: {listed(old)} before; {listed(new)} after"
            for name, old, new in changes(before, after)
        ]
        if before.documents and after.documents:
            ratio = after.documents / before.documents
            if not 1 / MAX_DOCUMENT_RATIO < ratio < MAX_DOCUMENT_RATIO:
                warnings.append(
                    f"candidates per request changed: {before.documents:.1f} before, "
                    f"{after.documents:.1f} after; the best of more candidates scores higher"
                )
        distance = float(np.abs(before.weekdays - after.weekdays).sum()) / 2
        enough = min(before.requests, after.requests) >= MIN_REQUESTS_FOR_WEEKDAYS
        if enough and distance > MAX_WEEKDAY_DISTANCE:
            warnings.append("the periods consist of other days of the week: compare whole weeks")
        return warnings + missing(before, after)


def changes(before: Facts, after: Facts) -> list[tuple[str, frozenset[str], frozenset[str]]]:
    """What both periods know, and not the same."""
    old = {**before.settings, "model": frozenset(before.models)}
    new = {**after.settings, "model": frozenset(after.models)}
    return [
        (name, old[name], new[name])
        for name in sorted(old.keys() & new.keys())
        if old[name] and new[name] and old[name] != new[name]
    ]


def missing(before: Facts, after: Facts) -> list[str]:
    warnings = []
    if unscored := before.unscored + after.unscored:
        warnings.append(f"{unscored} requests were left out: their log lines have no top_score")
    if lines := before.without_ranking + after.without_ranking:
        warnings.append(f"{lines} verdicts do not count for nDCG: their lines have no ranking")
    return warnings


def listed(values: frozenset[str]) -> str:
    return " and ".join(sorted(values))


def facts_of(period: Period, span: tuple[float, float] | None) -> Facts:
    """`span` is the period that the user named; without, that of the records."""
    times = period.times
    if span is None and len(times):
        span = float(times.min()), float(times.max())
    start, end = span or (None, None)
    return Facts(
        start,
        end,
        period.requests,
        len(period.judgements),
        sorted(period.models),
        settings_of(period.cards),
        weekday_shares(times, np.ones(len(times))),
        float(period.documents.values.mean()) if len(period.documents) else None,
        sum(bool(each.relevant) and each.order is None for each in period.judgements),
        period.unscored if not len(period.tops) else 0,
    )


def facts_of_traffic(traffic: Traffic, span: tuple[float, float], judged: int) -> Facts:
    settings = dict(settings_of(traffic.cards))
    return Facts(
        *span,
        round(traffic.sizes.sum()),
        judged,
        sorted(settings.pop("model", ())),
        settings,
        weekday_shares(traffic.times, traffic.sizes),
    )


def settings_of(cards: Sequence[Mapping[str, object]]) -> dict[str, frozenset[str]]:
    names = {name for card in cards for name in card} - UNRELATED
    return {
        name: frozenset(text_of(card[name]) for card in cards if name in card) for name in names
    }


def text_of(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items()))
    return "none" if value is None else str(value)
