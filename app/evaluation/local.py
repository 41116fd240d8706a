"""The local engine in this process, with the same Reranker as in the service."""

from __future__ import annotations

from collections.abc import Sequence

from app.evaluation.scoring import prefiltered_name, refuse_without_prefilter
from app.rerank.query import Document, Query, Ranker


class LocalScorer:
    def __init__(self, name: str, reranker: Ranker, prefilter: int | None = None) -> None:
        self.name = name
        self._reranker = reranker
        self._prefilter = prefilter

    def with_prefilter(self, most: int) -> LocalScorer:
        return LocalScorer(prefiltered_name(self.name, most), self._reranker, most)

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        documents = [Document(text) for text in texts]
        wanted = Query(query, documents, score="logit", prefilter=self._prefilter)
        ranking = await self._reranker.rank(wanted)
        refuse_without_prefilter(ranking.warnings)
        return ranking.logits
