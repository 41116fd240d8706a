"""Ranking by another service, with the same verb as the local model's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
from pydantic import SecretStr

from app import via
from app.deadline import Deadline
from app.errors import (
    InvalidRequest,
    LoopDetected,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from app.events import Observe, UpstreamCalled, ignore
from app.model_card import ModelCard
from app.remote.providers import Target
from app.remote.providers.wire import Asked, Told, Wish
from app.rerank.cache import TextScore
from app.rerank.query import UNSCORED, Query, Ranking, ScoreKind, Times, present
from app.rerank.ranking import make_ranking, ranked
from app.upstream import call
from app.upstream.reading import ACCEPTED, fetch

ATTEMPTS = 3
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 4_194_304  # unpacked: a thousand scores take a fortieth of it
AT_ONCE = 32  # calls: in the third of a second that one takes, more a minute than is sold
CLOSEST = 1e-12  # to 0 and 1 that a probability is taken for, so that its log-odds are finite
EXPLAINED = {
    401: "check RERANKD_UPSTREAM_API_KEY",
    403: "check RERANKD_UPSTREAM_API_KEY",
    404: "check the model's name and the address",
}


@asynccontextmanager
async def open_client(
    target: Target, key: SecretStr | None, seconds: float
) -> AsyncIterator[httpx.AsyncClient]:
    """`seconds` is the limit of one try."""
    async with httpx.AsyncClient(
        base_url=target.url,
        headers=ACCEPTED | ({"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}),
        timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        limits=httpx.Limits(max_connections=None),
    ) as client:
        yield client


class Remote:
    def __init__(
        self,
        target: Target,
        client: httpx.AsyncClient,
        timeout: float,
        observe: Observe = ignore,
        *,
        name: str = "",
        mark: str = "",  # by which we know our own requests
    ) -> None:
        self.by = f"{target.wire.name}:{target.model}" if target.model else target.wire.name
        self.name = name or self.by
        self._mark = mark
        self._wire = target.wire
        self._model = target.model
        self._client = client
        self._timeout = timeout
        self._observe = observe
        self._room = asyncio.Semaphore(AT_ONCE)

    @property
    def card(self) -> ModelCard:
        return ModelCard(
            model=self.name,
            reranked_by=self.by,
            engine="remote",
            takes_instruction="instruction" in self._wire.grants,
        )

    async def rank(self, query: Query) -> Ranking:
        self._refuse(query)
        deadline = Deadline.after(min(query.timeout or self._timeout, self._timeout))
        async with deadline.enforced():
            ranking = await self._rank(query, deadline)
        self._observe(ranked(ranking))
        return ranking

    def _refuse(self, query: Query) -> None:
        """What would be answered wrongly. What only counts for less is told in a warning."""
        wishes = {
            "score": (query.score == "calibrated", "gives no calibrated scores"),
            "relevant_spans": (query.spans is not None, "tells no spans"),
            "truncate": (not query.truncate, "always cuts what is too long"),
        }
        for field, (wished, reason) in wishes.items():
            if wished:
                raise InvalidRequest(f"{field}: {self.by} ranks here, and {reason}", field=field)

    async def _rank(self, query: Query, deadline: Deadline) -> Ranking:
        now = asyncio.get_running_loop().time
        started, most = now(), self._wire.most
        texts = list(dict.fromkeys(one.text for one in query.documents if one.text.strip()))
        scores: dict[str, TextScore] = {}
        tokens, waited, warnings = 0, 0.0, self._warnings(query)
        for start in range(0, len(texts), most):
            some = texts[start : start + most]
            came = now()
            async with self._room:
                waited += now() - came
                told = await self._ask(
                    Asked(self._model, query, some, deadline.remaining), deadline
                )
            cut = set(told.truncated)
            # The service counts tokens in sum only.
            scores |= {
                some[i]: TextScore(score, tokens=0, truncated=i in cut)
                for i, score in told.scores
                if score != UNSCORED  # another rerankd's word for it is the same
            }
            tokens += told.tokens
            warnings += [one for one in told.warnings if one not in warnings]
        spent = now() - started
        times = Times(queue=waited, compute=spent - waited, total=spent)
        ranking = make_ranking(query, scores, 0, times, self._show)
        return replace(
            ranking,
            model=self.name,
            by=self.by,
            logits=[self._show(score, "logit") for score in ranking.logits],
            usage=replace(ranking.usage, tokens=tokens),
            warnings=warnings,
        )

    def _warnings(self, query: Query) -> list[str]:
        wishes: dict[Wish, tuple[bool, str]] = {
            "instruction": (query.instruction is not None, "takes no instruction: it was ignored"),
            "cut": (query.cut == "left", "cuts as it does: the side was ignored"),
            "windows": (bool(query.windows), "reads long documents in its own way"),
            "document_tokens": (bool(query.document_tokens), "has its own limit on tokens"),
        }
        told = [
            f"{self.by} {text}"
            for wish, (wished, text) in wishes.items()
            if wished and wish not in self._wire.grants
        ]
        if query.score == "logit" and not self._wire.logits:
            told.append(f"{self.by} gives probabilities: logits are their log-odds")
        return told

    def _show(self, score: float, kind: ScoreKind) -> float:
        """Some hosted models stray a little beyond 0 and 1; a probability does not."""
        if self._wire.logits or score == UNSCORED:
            return present(score, kind)
        return log_odds(score) if kind == "logit" else min(max(score, 0.0), 1.0)

    async def _ask(self, asked: Asked, deadline: Deadline) -> Told:
        now = asyncio.get_running_loop().time
        started, outcome = now(), "abandoned"  # by the caller, or by his time limit
        try:
            raw = await self._call(asked, deadline)
            told = self._read(raw, len(asked.texts))
            outcome = "ok"
            return told
        except UpstreamFailed as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._observe(UpstreamCalled(self._wire.name, outcome, now() - started))

    async def _call(self, asked: Asked, deadline: Deadline) -> bytes:
        body, name = self._wire.write(asked), self._wire.name
        marks = [*asked.query.via, self._mark] if self._mark else asked.query.via
        headers = {via.HEADER: via.write(marks)} if marks else {}

        async def attempt() -> bytes:
            request = self._client.build_request(
                "POST", self._wire.path, json=body, headers=headers
            )
            return await fetch(name, self._client, request, MAX_ANSWER_BYTES)

        try:
            return await call(name, attempt, attempts=ATTEMPTS, deadline=deadline.at)
        except UpstreamFailed as error:
            if error.status == 429:
                raise UpstreamBusy(
                    f"{name} takes no more requests for now",
                    upstream=name,
                    status=429,
                    retry_after=error.retry_after or 1.0,
                ) from error
            if error.status == 508:
                sentence = f"{error}: {via.ADVICE}"
                raise LoopDetected(sentence, upstream=name, status=508) from error
            if error.status in EXPLAINED:
                sentence = f"{error}: {EXPLAINED[error.status]}"
                raise UpstreamFailed(sentence, upstream=name, status=error.status) from error
            raise

    def _read(self, raw: bytes, documents: int) -> Told:
        name = self._wire.name
        try:
            told = self._wire.read(raw)
        except ValueError as error:
            sentence = f"{name} sent what is not an answer"
            raise UpstreamFailed(sentence, upstream=name) from error
        if sorted(index for index, _ in told.scores) != list(range(documents)):
            sentence = f"{name} did not give each of {documents} documents one score"
            raise UpstreamFailed(sentence, upstream=name)
        return told


def outcome_of(error: UpstreamFailed) -> str:
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    return "busy" if isinstance(error, UpstreamBusy) else "failed"


def log_odds(score: float) -> float:
    likely = min(max(score, CLOSEST), 1 - CLOSEST)
    return math.log(likely / (1 - likely))
