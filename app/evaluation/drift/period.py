"""What the records of one period say, before anything is compared."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from app.evaluation.measures.measures import Values

DAYS_OF_A_WEEK = 7
# 1970 began on a Thursday, and a week begins on a Monday.
FIRST_WEEKDAY = 3
DAY_SECONDS = 86_400


class Request(NamedTuple):
    """A ranking or an answer, from its line in the log. None: the line does not say."""

    time: float
    route: str
    model: str = ""
    top: float | None = None
    gap: float | None = None
    documents: int | None = None
    outcome: str = ""  # of an answer


class Started(NamedTuple):
    """A model that was loaded, from its line in the log."""

    time: float
    card: Mapping[str, object]


class Judgement(NamedTuple):
    """The last verdict on an answer. `order` is None where the line has no ranking."""

    time: float
    question: str
    useful: bool
    outcome: str
    relevant: Sequence[str]
    order: Sequence[str] | None = None
    model: str = ""
    scores: Sequence[float] = ()


def no_numbers() -> array[float]:
    return array("d")


class Series:
    """Numbers, each with its time; small even for millions of requests."""

    def __init__(self) -> None:
        self._times = no_numbers()
        self._values = no_numbers()

    def append(self, time: float, value: float | None) -> None:
        if value is not None:
            self._times.append(time)
            self._values.append(value)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def times(self) -> Values:
        return np.array(self._times)

    @property
    def values(self) -> Values:
        return np.array(self._values)


@dataclass(slots=True)
class Period:
    tops: Series = field(default_factory=Series)
    gaps: Series = field(default_factory=Series)
    documents: Series = field(default_factory=Series)
    # 1 for an answer that says that it does not know, 0 for another.
    unknown: Series = field(default_factory=Series)
    judgements: list[Judgement] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    cards: list[Mapping[str, object]] = field(default_factory=list)
    # Of each request; and how many more have neither a score nor an outcome.
    moments: array[float] = field(default_factory=no_numbers)
    unscored: int = 0

    def take(self, request: Request) -> None:
        if request.top is None and not request.outcome:
            self.unscored += 1
            return
        self.moments.append(request.time)
        self.tops.append(request.time, request.top)
        self.gaps.append(request.time, request.gap)
        if request.top is not None:
            self.documents.append(request.time, request.documents)
        if request.model:
            self.models.add(request.model)
        if request.outcome:
            self.unknown.append(request.time, float(request.outcome == "not_found"))

    def take_judgement(self, judgement: Judgement) -> None:
        self.judgements.append(judgement)
        if judgement.model:
            self.models.add(judgement.model)

    def with_scores_of_feedback(self) -> Period:
        """As if the judged answers were the requests, where no log was read."""
        period = Period(
            judgements=self.judgements,
            models=self.models,
            cards=self.cards,
            unscored=self.unscored,
        )
        for each in self.judgements:
            best = each.scores[:2]
            period.moments.append(each.time)
            period.tops.append(each.time, best[0] if best else None)
            period.gaps.append(each.time, best[0] - best[1] if len(best) > 1 else None)
            period.unknown.append(each.time, float(each.outcome == "not_found"))
        return period

    @property
    def requests(self) -> int:
        return len(self.moments)

    @property
    def times(self) -> Values:
        return np.array(self.moments)


def weekday_shares(times: Values, sizes: Values) -> Values:
    """The shares of Monday to Sunday, in UTC."""
    days = (times // DAY_SECONDS + FIRST_WEEKDAY) % DAYS_OF_A_WEEK
    counts = np.bincount(days.astype(int), sizes, DAYS_OF_A_WEEK)
    return counts / (float(counts.sum()) or 1.0)
