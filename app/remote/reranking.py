"""Ranking by another service, with the same verb as the local model's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
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
from app.remote.providers.provider import Option, ProviderAnswer, ProviderRequest
from app.rerank.cache import TextScore
from app.rerank.query import UNSCORED, Query, Ranking, ScoreKind, Times, present
from app.rerank.ranking import make_ranking, ranked
from app.upstream.reading import ACCEPTED_ENCODINGS, fetch
from app.upstream.retry import RetryPolicy, call

RETRIES = RetryPolicy(attempts=3)
CONNECT_SECONDS = 5.0
# Unpacked; a thousand scores take a fortieth of it.
MAX_ANSWER_BYTES = 4_194_304
# A call takes a third of a second, so these are more calls a minute than providers sell.
MAX_CONCURRENT_CALLS = 32
# Distance from 0 and 1 that a probability keeps, so that its log-odds are finite.
MIN_DISTANCE = 1e-12
HINTS = {
    401: "check RERANKD_UPSTREAM_API_KEY",
    403: "check RERANKD_UPSTREAM_API_KEY",
    404: "check the model's name and the address",
}


@asynccontextmanager
async def open_client(
    target: Target, key: SecretStr | None, seconds: float
) -> AsyncIterator[httpx.AsyncClient]:
    """`seconds` is the limit of one try."""
    authorization = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    async with httpx.AsyncClient(
        base_url=target.url,
        headers=ACCEPTED_ENCODINGS | authorization,
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
        mark: str = "",
    ) -> None:
        """`mark` is put into `Via`; by it we recognise our own requests."""
        provider = target.provider
        self.by = f"{provider.name}:{target.model}" if target.model else provider.name
        self.name = name or self.by
        self._mark = mark
        self._provider = provider
        self._model = target.model
        self._client = client
        self._timeout = timeout
        self._observe = observe
        self._room = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    @property
    def card(self) -> ModelCard:
        return ModelCard(
            model=self.name,
            reranked_by=self.by,
            engine="remote",
            takes_instruction="instruction" in self._provider.options,
        )

    async def rank(self, query: Query) -> Ranking:
        self._refuse(query)
        deadline = Deadline.after(min(query.timeout or self._timeout, self._timeout))
        async with deadline.enforced():
            ranking = await self._rank(query, deadline)
        self._observe(ranked(ranking))
        return ranking

    def _refuse(self, query: Query) -> None:
        """Refuse what would give a wrong answer. A lesser difference gives a warning."""
        unsupported = {
            "score": (query.score == "calibrated", "gives no calibrated scores"),
            "relevant_spans": (query.spans is not None, "gives no spans"),
            "truncate": (not query.truncate, "always cuts what is too long"),
        }
        for field, (wanted, reason) in unsupported.items():
            if wanted:
                raise InvalidRequest(f"{field}: {self.by} ranks here, and {reason}", field=field)

    async def _rank(self, query: Query, deadline: Deadline) -> Ranking:
        now = asyncio.get_running_loop().time
        started, size = now(), self._provider.max_documents
        texts = list(
            dict.fromkeys(document.text for document in query.documents if document.text.strip())
        )
        scores: dict[str, TextScore] = {}
        tokens, waited, warnings = 0, 0.0, self._warnings(query)
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            arrived = now()
            async with self._room:
                waited += now() - arrived
                request = ProviderRequest(self._model, query, part, deadline.remaining)
                answer = await self._request(request, deadline)
            scores |= scores_of(answer, part)
            tokens += answer.tokens
            warnings += [warning for warning in answer.warnings if warning not in warnings]
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
        ignored: dict[Option, tuple[bool, str]] = {
            "instruction": (query.instruction is not None, "takes no instruction: it was ignored"),
            "cut": (query.cut == "left", "cuts as it does: the side was ignored"),
            "windows": (bool(query.windows), "reads long documents in its own way"),
            "document_tokens": (bool(query.document_tokens), "has its own limit on tokens"),
        }
        warnings = [
            f"{self.by} {text}"
            for option, (wanted, text) in ignored.items()
            if wanted and option not in self._provider.options
        ]
        if query.explain:
            warnings.append(f"{self.by} does not say what it read: explain was ignored")
        if query.score == "logit" and not self._provider.gives_logits:
            warnings.append(f"{self.by} gives probabilities: logits are their log-odds")
        return warnings

    def _show(self, score: float, kind: ScoreKind) -> float:
        """Some hosted models give scores slightly below 0 or above 1."""
        if self._provider.gives_logits or score == UNSCORED:
            return present(score, kind)
        return log_odds(score) if kind == "logit" else min(max(score, 0.0), 1.0)

    async def _request(self, request: ProviderRequest, deadline: Deadline) -> ProviderAnswer:
        now = asyncio.get_running_loop().time
        # Abandoned: cancelled by the caller, or by the caller's time limit.
        started, outcome = now(), "abandoned"
        try:
            raw = await self._call(request, deadline)
            answer = self._read(raw, len(request.texts))
            outcome = "ok"
            return answer
        except UpstreamFailed as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._observe(UpstreamCalled(self._provider.name, outcome, now() - started))

    async def _call(self, request: ProviderRequest, deadline: Deadline) -> bytes:
        body, name = self._provider.write(request), self._provider.name
        marks = [*request.query.via, self._mark] if self._mark else request.query.via
        headers = {via.HEADER: via.write(marks)} if marks else {}

        async def attempt() -> bytes:
            sent = self._client.build_request(
                "POST", self._provider.path, json=body, headers=headers
            )
            return await fetch(name, self._client, sent, MAX_ANSWER_BYTES)

        try:
            return await call(name, attempt, RETRIES, deadline=deadline.at)
        except UpstreamFailed as error:
            clearer = explained(error, name)
            if clearer is None:
                raise
            raise clearer from error

    def _read(self, raw: bytes, documents: int) -> ProviderAnswer:
        name = self._provider.name
        try:
            answer = self._provider.read(raw)
        except ValueError as error:
            sentence = f"{name} sent what is not an answer"
            raise UpstreamFailed(sentence, upstream=name) from error
        if sorted(index for index, _ in answer.scores) != list(range(documents)):
            sentence = f"{name} did not give each of {documents} documents one score"
            raise UpstreamFailed(sentence, upstream=name)
        return answer


def scores_of(answer: ProviderAnswer, texts: Sequence[str]) -> dict[str, TextScore]:
    """The provider counts tokens in sum only."""
    cut = set(answer.truncated)
    return {
        texts[index]: TextScore(score, tokens=0, truncated=index in cut)
        for index, score in answer.scores
        if score != UNSCORED  # another rerankd marks what it could not score by the same number
    }


def explained(error: UpstreamFailed, name: str) -> UpstreamFailed | None:
    """The error that says what to do about it, or when to come back."""
    if error.status == 429:
        return UpstreamBusy(
            f"{name} takes no more requests for now",
            upstream=name,
            status=429,
            retry_after=error.retry_after or 1.0,
        )
    if error.status == 508:
        return LoopDetected(f"{error}: {via.ADVICE}", upstream=name, status=508)
    if error.status in HINTS:
        sentence = f"{error}: {HINTS[error.status]}"
        return UpstreamFailed(sentence, upstream=name, status=error.status)
    return None


def outcome_of(error: UpstreamFailed) -> str:
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    return "busy" if isinstance(error, UpstreamBusy) else "failed"


def log_odds(score: float) -> float:
    inside = min(max(score, MIN_DISTANCE), 1 - MIN_DISTANCE)
    return math.log(inside / (1 - inside))
