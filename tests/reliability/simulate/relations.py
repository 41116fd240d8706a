"""Once all is calm: the service recovers, and rankings stand in the relations that they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from app.answer.question import Question
from app.rerank.cache import Cache
from app.rerank.query import Document, Query, Ranking
from tests.reliability.simulate.loop import Violation
from tests.reliability.simulate.oracle import Oracle
from tests.reliability.simulate.plan import Texts
from tests.reliability.simulate.service import Service, open_reranker

DOCUMENTS = 24


async def check_relations(service: Service, oracle: Oracle, texts: Texts) -> None:
    """Every ranking here must succeed: nothing fails any more, and nobody else asks."""
    rng = Random(f"relations {service.world.seed}")
    query = affordable(service, oracle, texts, rng)
    service.engine.failed_alone.clear()
    whole = await rank(service, oracle, query)
    await check_permuted(service, oracle, query, whole, rng)
    await check_split(service, oracle, query, whole)
    await check_without_cache(service, query, whole)
    await check_answer(service)


def affordable(service: Service, oracle: Oracle, texts: Texts, rng: Random) -> Query:
    """A query that the engine can answer in a part of the time limit."""
    world = service.world
    room = min(world.timeout / world.per_token, world.queue_tokens) / 5
    documents = rng.choices(texts.documents, k=DOCUMENTS)
    query = Query(min(rng.sample(texts.queries, 3), key=len), documents)
    while oracle.most_tokens(replace(query, windows=world.windows)) > room and len(documents) > 2:
        documents.remove(max(documents, key=lambda document: len(document.text)))
    return query


async def rank(service: Service, oracle: Oracle, query: Query) -> Ranking:
    ranking = await service.ranker.rank(query)
    if not ranking.by:
        takes = service.encoder.takes_instruction
        oracle.check(oracle.as_read(query, takes_instruction=takes), ranking)
    elif not service.world.remote:
        raise Violation(f"{ranking.by} ranked")
    return ranking


async def check_permuted(
    service: Service, oracle: Oracle, query: Query, whole: Ranking, rng: Random
) -> None:
    count = len(query.documents)
    order = rng.sample(range(count), count)
    permuted = await rank(
        service, oracle, replace(query, documents=[query.documents[index] for index in order])
    )
    expect_same("permuted documents", permuted.logits, [whole.logits[index] for index in order])


async def check_split(service: Service, oracle: Oracle, query: Query, whole: Ranking) -> None:
    half = len(query.documents) // 2
    parts: list[Sequence[Document]] = [query.documents[:half], query.documents[half:]]
    logits: list[float] = []
    for part in parts:
        logits += (await rank(service, oracle, replace(query, documents=part))).logits
    expect_same("two requests in the place of one", logits, whole.logits)


async def check_without_cache(service: Service, query: Query, whole: Ranking) -> None:
    cold = open_reranker(service.world, service.encoder, service.batcher, Cache(0, 0, lambda: 0))
    ranking = await cold.rank(query)
    expect_same("without a cache", ranking.logits, whole.logits)
    if ranking.usage.cached:
        raise Violation("cached scores without a cache")


async def check_answer(service: Service) -> None:
    """Enough of them that a breaker that may close has closed."""
    if service.world.daily_tokens:
        return
    for number in range(3):
        answer = await service.answerer.answer(
            Question(
                f"Which fact is number {number}, once all is calm?", min_score=0.0, initial_k=20
            )
        )
    if answer.outcome != "answered":
        raise Violation(f"all is calm, and the answer is {answer.outcome}: {answer.warnings}")
    if any(link.breaker.open for link in service.chain.links[:1]):
        raise Violation("all is calm, and the first model is still left alone")


def expect_same(name: str, logits: Sequence[float], wanted: Sequence[float]) -> None:
    if list(logits) != list(wanted):
        raise Violation(f"{name}: other scores")
