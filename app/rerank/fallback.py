"""Another ranker that is used when the local one cannot rank."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from app.errors import (
    Draining,
    EngineFailed,
    InvalidRequest,
    Loading,
    QueueFull,
    ScoringFailed,
    ServiceError,
    UpstreamFailed,
)
from app.events import FallbackUsed, Observe, ignore
from app.rerank.daily_documents import DailyDocuments, seconds_until_tomorrow
from app.rerank.query import Query, Ranker, Ranking

logger = logging.getLogger(__name__)

PASSED_ON = (Loading, EngineFailed, Draining, QueueFull, ScoringFailed)


class FallbackSpent(ServiceError):
    """The daily limit of documents for the other ranker is used up, or too small for the request.

    `retry_after` is the time until the next day, None if a request never fits.
    """

    def __init__(self, message: str, *, limit: int, retry_after: float | None) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after


class Limited:
    """Limits the documents per day for the other ranker, because it may cost money."""

    def __init__(
        self,
        other: Ranker,
        daily: DailyDocuments,
        observe: Observe = ignore,
    ) -> None:
        self._other = other
        self._daily = daily
        self._observe = observe

    async def rank(self, query: Query) -> Ranking:
        """Documents count even if the other ranker fails, because it may charge for them."""
        documents = len(query.documents)
        if not await self._daily.take(documents):
            self._observe(FallbackUsed("refused", documents))
            raise self._spent(documents)
        self._observe(FallbackUsed("sent", documents))
        return await self._other.rank(query)

    def _spent(self, documents: int) -> FallbackSpent:
        limit, left = self._daily.limit, self._daily.left
        return FallbackSpent(
            f"the request has {documents} documents, and the fallback takes {left} more today, "
            f"of {limit} (fallback_daily_documents)",
            limit=limit,
            retry_after=seconds_until_tomorrow() if documents <= limit else None,
        )


class Fallback:
    """Calls the other ranker if the local one is not ready, fails or has no room."""

    def __init__(self, local: Callable[[], Ranker], other: Ranker) -> None:
        self._local = local
        self._other = other

    async def rank(self, query: Query) -> Ranking:
        now = asyncio.get_running_loop().time
        started = now()
        try:
            return await self._local().rank(query)
        except PASSED_ON as refusal:
            left = None if query.timeout is None else query.timeout - (now() - started)
            if left is not None and left <= 0:
                raise
            return await self._rank_elsewhere(replace(query, timeout=left), refusal)

    async def _rank_elsewhere(self, query: Query, refusal: ServiceError) -> Ranking:
        """If the other ranker fails too, or its limit is used up, raise the local refusal."""
        try:
            return await self._other.rank(query)
        except FallbackSpent as error:
            raise refusal from error
        except (InvalidRequest, UpstreamFailed) as error:
            logger.warning("fallback_failed", extra={"fields": {"reason": str(error)}})
            raise refusal from error
