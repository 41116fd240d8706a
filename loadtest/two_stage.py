"""Does the second stage pay? Recall and nDCG of `/answer`'s first stage, before and after it.

    python -m loadtest.two_stage FOLDER [--sample N] [--embedder NAME] [--initial-k 20,50,100]

FOLDER holds a BEIR set. Its corpus goes into a SQLite store as `rerankd ingest` makes it, each
document as one passage, so that the judgements hold.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app import logs
from app.commands.measuring import open_scorer
from app.compose.answer import first_stage
from app.evaluation.data.judged import Judged
from app.evaluation.data.sources import read_judged
from app.evaluation.measures.measures import measure
from app.evaluation.progress import track
from app.evaluation.scoring import Answer, reorder, score_all
from app.retrieval.opening import FirstStage, open_retriever, open_writer
from app.retrieval.store import Candidate
from app.settings import Settings

Orders = Mapping[str, Sequence[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description="the second stage's worth on a BEIR set")
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--sample", type=int, default=0, help="queries, drawn by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--k", type=int, default=5, help="results that count")
    parser.add_argument("--initial-k", default="20,50,100")
    parser.add_argument("--embedder", default="", help="for a second table: words and vectors")
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    asyncio.run(run(arguments))


async def run(arguments: argparse.Namespace) -> None:
    judged = read_judged(arguments.data, arguments.split).measurable()
    judged = judged.sample(arguments.sample, arguments.seed)
    initial_ks = sorted(int(part) for part in arguments.initial_k.split(","))
    print(f"{judged.name}: {len(judged.queries)} queries, {len(judged.corpus)} documents")
    with tempfile.TemporaryDirectory() as folder:
        stage = replace(
            first_stage(Settings()),
            stores=[f"sqlite:{folder}/two-stage.db"],
            store_seconds=60,
        )
        stages = {"BM25": stage}
        if arguments.embedder:
            stages["BM25 and vectors"] = replace(stage, embedder=arguments.embedder)
        await fill(list(stages.values())[-1], judged)
        by_stage = {
            name: await search(stage, judged, initial_ks[-1]) for name, stage in stages.items()
        }
    logits = await score(judged, by_stage)
    for name, order in by_stage.items():
        report(name, judged, order, logits, initial_ks, arguments.k)


async def fill(stage: FirstStage, judged: Judged) -> None:
    async with open_writer(stage) as (writer, embedder):
        for some in track(list(batches(list(judged.corpus.items()))), "filling"):
            chunks = [Candidate(name, text) for name, text in some]
            texts = [text for _, text in some]
            await writer.put(chunks, await embedder.embed_passages(texts) if embedder else [])


def batches(rows: Sequence[tuple[str, str]]) -> list[Sequence[tuple[str, str]]]:
    return [rows[start : start + 64] for start in range(0, len(rows), 64)]


async def search(stage: FirstStage, judged: Judged, k: int) -> Orders:
    """Texts are merged where they are equal, as `/answer` merges them."""
    async with open_retriever(stage) as retriever:
        orders = {}
        for query, text in track(judged.queries.items(), "first stage"):
            retrieved = await retriever.retrieve([text], k=k, filters={}, collection=None)
            orders[query] = [candidate.id for candidate in retrieved.candidates]
        return orders


async def score(
    judged: Judged, by_stage: Mapping[str, Orders]
) -> Mapping[str, Mapping[str, float]]:
    """Each pair once, whichever first stages found it."""
    pools = {
        query: list(dict.fromkeys(name for orders in by_stage.values() for name in orders[query]))
        for query in judged.queries
    }
    async with open_scorer(Settings(), None) as scorer:
        answers = await score_all(scorer, judged, pools)
    return {
        query: dict(zip(pools[query], answer.scores, strict=True))
        for query, answer in answers.items()
    }


def report(
    name: str,
    judged: Judged,
    retrieved: Orders,
    logits: Mapping[str, Mapping[str, float]],
    initial_ks: Sequence[int],
    k: int,
) -> None:
    answers = {
        query: Answer([logits[query][document] for document in order], 0.0)
        for query, order in retrieved.items()
        if order
    }
    orders = {f"{name} alone": retrieved} | {
        f"{name}, best {initial_k} reranked": reorder(retrieved, answers, initial_k)
        for initial_k in initial_ks
    }
    print(f"\n| order | recall@{k} | nDCG@{k} |\n|---|---|---|")
    for label, order in orders.items():
        measured = measure(judged, order, k)
        print(
            f"| {label} | {measured.mean(f'recall@{k}'):.3f} | {measured.mean(f'nDCG@{k}'):.3f} |"
        )


if __name__ == "__main__":
    main()
