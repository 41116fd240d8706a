"""Judges every exchange of a run: right, a documented refusal, explained by a fault, or a defect.

The checker sees what callers saw and when faults happened. It knows nothing of the service.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from tests.reliability.history.truth import Truth, agrees
from tests.reliability.history.wires import Unreadable, Wire

Verdict = Literal["right", "refused", "fault", "own_doing", "wrong", "lost"]

REFUSALS = {429, 503, 504}  # of the service: overloaded, loading or draining, deadline
PROXY_STATUSES = {502, 503, 504}
HANG_SECONDS = 60.0
RECOVERY_SECONDS = 2.0  # a request that a load balancer sent just before the process was back


@dataclass(frozen=True)
class Exchange:
    """One request as its caller saw it. Times are those of one monotonic clock."""

    wire: Wire
    query: int
    texts: tuple[int, ...]
    started: float
    ended: float
    status: int | None = None  # None: no whole answer came
    body: bytes = b""
    by_proxy: bool = False  # a load balancer answered in place of the service
    abandoned: bool = False  # the caller itself broke off
    timed_out: bool = False


@dataclass
class Faults:
    """The stretches of time in which a process was killed, stopped or starting."""

    stretches: list[tuple[float, float]] = field(default_factory=list)
    recovery_seconds: float = RECOVERY_SECONDS

    def explain(self, exchange: Exchange) -> bool:
        return any(
            exchange.started <= until + self.recovery_seconds and exchange.ended >= since
            for since, until in self.stretches
        )


@dataclass
class Report:
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    pairs: int = 0  # scores that were given and compared
    defects: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.pairs > 0 and not self.verdicts["wrong"] and not self.verdicts["lost"]


class Checker:
    def __init__(self, truth: Truth, faults: Faults) -> None:
        self._truth = truth
        self._faults = faults
        self.report = Report()

    def judge(self, exchange: Exchange) -> None:
        verdict, reason = self._verdict(exchange)
        self.report.verdicts[verdict] += 1
        if verdict == "right":
            self.report.pairs += len(exchange.texts)
        elif reason:
            self.report.defects.append(f"{exchange.wire.name}: {reason}")

    def _verdict(self, exchange: Exchange) -> tuple[Verdict, str]:
        if exchange.status == 200:
            defect = self._compare(exchange)
            return ("wrong", defect) if defect else ("right", "")
        if exchange.abandoned:
            return "own_doing", ""
        if exchange.timed_out:
            return "lost", f"no answer within {HANG_SECONDS:.0f} s"
        if exchange.status in REFUSALS and not exchange.by_proxy:
            return "refused", ""
        broke = exchange.status is None or exchange.status in PROXY_STATUSES
        if broke and self._faults.explain(exchange):
            return "fault", ""
        status = "a broken connection" if exchange.status is None else f"status {exchange.status}"
        return "wrong", f"{status} that no fault explains: {exchange.body[:200]!r}"

    def _compare(self, exchange: Exchange) -> str:
        wire = exchange.wire
        try:
            pairs = wire.scores(exchange.body, len(exchange.texts))
        except Unreadable as error:
            return str(error)
        for index, score in pairs:
            logit = self._truth.logit(exchange.query, exchange.texts[index])
            if not agrees(score, logit, as_logit=wire.as_logit):
                return f"score {score} of a pair whose logit is {logit}"
        scores = [score for _, score in pairs]
        if wire.sorted and scores != sorted(scores, reverse=True):
            return "results that are not in order"
        return ""
