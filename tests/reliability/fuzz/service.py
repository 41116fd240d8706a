"""The whole HTTP edge and `/answer`, over a ranker and a store that cost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path

from fastapi import FastAPI

from app.rerank.query import UNSCORED, Query, Ranking, Result, present
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.garbage import frozen
from tests.models import bert

PASSAGES = ("Books are lent for four weeks.", "The library opens at nine [1].", "A river.")


class HashRanker:
    """A score that depends on the query and the text alone."""

    async def rank(self, query: Query) -> Ranking:
        logits = [
            score(query.text, document.text) if document.text.strip() else UNSCORED
            for document in query.documents
        ]
        order = sorted(range(len(logits)), key=lambda index: -logits[index])
        results = [Result(index, present(logits[index], query.score)) for index in order]
        if query.min_score is not None:
            results = [result for result in results if result.score >= query.min_score]
        spans = {result.index: () for result in results}
        return Ranking(query, results[: query.top_n], logits, spans=spans, model="hash")


def score(query: str, text: str) -> float:
    content = f"{query}\0{text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(content, digest_size=2).digest()) / 8192 - 4.0


@asynccontextmanager
async def open_service(folder: Path) -> AsyncIterator[FastAPI]:
    """A small real model starts the service; then the hash ranks, thousands of times faster."""
    desk = Desk(bert(folder / "model"), FakeRetriever(*PASSAGES))
    async with desk.open(feedback_file=folder / "feedback.jsonl", log_level="error"):
        service = desk.app.state.wiring.service
        service.reranker = HashRanker
        with frozen():
            yield desk.app
