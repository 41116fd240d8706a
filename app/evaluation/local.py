"""The local engine in this process, with the same Reranker as in the service."""

from __future__ import annotations

from collections.abc import Sequence

from app.rerank.query import Document, Query, Ranker


class LocalScorer:
    def __init__(self, name: str, reranker: Ranker) -> None:
        self.name = name
        self._reranker = reranker

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        documents = [Document(text) for text in texts]
        ranking = await self._reranker.rank(Query(query, documents, score="logit"))
        return ranking.logits
