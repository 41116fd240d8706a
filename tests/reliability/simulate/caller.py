"""One caller: asks, may go away, may come back when told to; and judges what it is given."""

from __future__ import annotations

import asyncio
from math import inf, isfinite
from zlib import crc32

from app.answer.question import Question
from app.answer.result import Answer
from app.errors import (
    DeadlineExceeded,
    Draining,
    EngineFailed,
    InvalidRequest,
    QueueFull,
    ScoringFailed,
    TooLong,
    UpstreamTimeout,
)
from app.rerank.query import Query, Ranking, probability
from tests.reliability.simulate.engine import TokenizerFault
from tests.reliability.simulate.loop import Violation
from tests.reliability.simulate.neighbours import (
    REMOTE,
    REMOTE_SECONDS,
    InjectedFailure,
    InjectedTimeout,
    answer_to,
)
from tests.reliability.simulate.oracle import Oracle
from tests.reliability.simulate.plan import Request
from tests.reliability.simulate.reference import context_of, logit_of
from tests.reliability.simulate.service import Service

INJECTED = (InjectedFailure, InjectedTimeout, TokenizerFault)
LATE = 1e-6  # seconds after its limit that a request may end
LONGEST_HINT = 600.0
MAX_IDLE_SECONDS = 0.2
ROUNDS = 3  # a caller comes back so often at most


class Caller:
    def __init__(self, service: Service, oracle: Oracle, request: Request) -> None:
        self._service = service
        self._oracle = oracle
        self.request = request
        self.outcome = ""
        self.digest = 0
        self._now = asyncio.get_running_loop().time

    async def run(self) -> None:
        try:
            for _ in range(ROUNDS):
                hint = await self._ask()
                if hint is None or not self.request.honours_hint:
                    return
                await asyncio.sleep(hint)
        except asyncio.CancelledError:
            if self.request.cancel is None and self.request.leaves_after is None:
                raise Violation("cancelled, though the caller stayed") from None
            self.outcome = "left"

    async def _ask(self) -> float | None:
        """The hint, if the request was refused with one."""
        request = self.request
        started, limit = self._now(), self._limit()
        hint = None
        try:
            if request.question is None:
                self._oracle.ask(self._as_read)
                self._judge(request.query, await self._service.ranker.rank(request.query))
            else:
                self._judge_answer(await self._service.answerer.answer(request.question))
        except QueueFull as error:
            hint = self._judge_hint(error.retry_after)
            self.outcome = "queue full"
        except Exception as error:  # noqa: BLE001 (judged below)
            self._judge_error(error, self._now() - started)
            self.outcome = type(error).__name__
        if (late := self._now() - started - limit) > LATE:
            raise Violation(f"ended {late} s after its limit of {limit} s: {self.outcome}")
        return hint

    def _limit(self) -> float:
        """The remote ranker may take what is left of the caller's limit, or its own."""
        if not self._service.world.remote:
            return self._own_limit
        return min(self._asked.timeout or inf, self._own_limit + REMOTE_SECONDS)

    @property
    def _asked(self) -> Question | Query:
        return self.request.question or self.request.query

    @property
    def _own_limit(self) -> float:
        return min(self._asked.timeout or inf, self._service.world.timeout)

    @property
    def _as_read(self) -> Query:
        takes = self._service.encoder.takes_instruction
        return self._oracle.as_read(self.request.query, takes_instruction=takes)

    def _judge(self, query: Query, ranking: Ranking) -> None:
        if ranking.by != REMOTE:
            query = self._as_read
            self._oracle.check_cached(query, ranking.usage.cached)
        self._oracle.check(query, ranking)
        self.outcome = "ranked"
        self.digest = crc32(repr(ranking.logits).encode())

    def _judge_hint(self, seconds: float) -> float:
        if not isfinite(seconds) or seconds <= 0:
            raise Violation(f"the hint is {seconds} s")
        return min(seconds, LONGEST_HINT)

    def _judge_error(self, error: Exception, seconds: float) -> None:
        """Only what was injected, or what the request or the world is at fault for."""
        if isinstance(error, INJECTED):
            return
        if isinstance(error, DeadlineExceeded):
            self._judge_waiting(seconds)
        elif not self._has_reason(error, seconds):
            raise Violation(f"no reason for this: {error!r}") from error

    def _has_reason(self, error: Exception, seconds: float) -> bool:
        world, read = self._service.world, self._as_read
        late = self.request.question is not None and seconds >= 0.85 * self._own_limit
        never = isinstance(error, InvalidRequest) and error.field == "documents"
        return (
            (isinstance(error, UpstreamTimeout) and late)
            or (isinstance(error, EngineFailed) and world.faults.hangs + world.faults.outages > 0)
            or (isinstance(error, Draining) and world.closes)
            or (isinstance(error, ScoringFailed) and bool(self._service.engine.failed_alone))
            or (isinstance(error, TooLong) and not read.truncate and self._oracle.too_long(read))
            or (never and self._oracle.most_tokens(read) > world.queue_tokens)
        )

    def _judge_waiting(self, seconds: float) -> None:
        """Nobody waits to the end of a time limit beside an engine that has nothing to do."""
        idle = self._service.probe.idle_seconds
        alone = self.request.question is None and not self._service.world.remote
        if alone and idle > MAX_IDLE_SECONDS and seconds > MAX_IDLE_SECONDS:
            raise Violation(f"waited for {seconds} s, the last {idle} s beside an idle engine")

    def _judge_answer(self, answer: Answer) -> None:
        question, service = self.request.question, self._service
        assert question is not None
        candidates = service.store.candidates_for(question.text, question.initial_k)
        if list(answer.selection.candidates) != candidates:
            raise Violation("the candidates are another question's")
        by_id = {candidate.id: candidate.text for candidate in candidates}
        context = context_of(Query(question.in_context, ()))
        for source in answer.selection.sources:
            item = service.reference.encode(context, by_id[source.candidate.id])
            if source.score != probability(logit_of(int(item.pair.ids[0]))):
                raise Violation(f"source {source.candidate.id} has a wrong score")
        if answer.outcome == "answered" and answer.text != answer_to(question.text):
            raise Violation(f"{answer.text!r} answers another question")
        if answer.outcome == "extractive":
            check_extract(answer)
        self.outcome = answer.outcome
        self.digest = crc32(answer.text.encode())


def check_extract(answer: Answer) -> None:
    """Each sentence stands in every passage that it cites."""
    for citation in answer.citations:
        sentence = answer.text[citation.start : citation.end]
        for number in citation.sources:
            if sentence not in answer.selection.sources[number - 1].candidate.text:
                raise Violation(f"{sentence!r} does not stand in the passage that it cites")
