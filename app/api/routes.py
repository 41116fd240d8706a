"""The routes that rerank and score, in all dialects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.api.auth import require_key
from app.api.body import step, write_answer
from app.api.context import context_of
from app.api.dialects import native, score
from app.api.dialects.dialect import Body, Dialect, Label
from app.api.dialects.registry import Registry
from app.api.dialects.vllm import SCORE_PATHS
from app.api.marking import marked, note_scores
from app.api.problems import documented
from app.api.reading import read_queries, read_query
from app.api.wiring import wiring_of
from app.errors import InvalidRequest
from app.event_loop import pause
from app.rerank.query import Query, Ranker, RankerChoice, Ranking
from app.rerank.ranking import top_scored
from app.tracing.ranking import trace_query, trace_ranking
from app.tracing.tracer import caller_trace

ERRORS = (400, 401, 413, 415, 422, 429, 500, 502, 503, 504, 508)
# So many start in one turn of the event loop: 50 with long texts held it for over 100 ms.
QUERIES_BETWEEN_PAUSES = 20


async def get_reranker(request: Request) -> Ranker:
    return wiring_of(request.app).service.reranker()


async def get_query(request: Request) -> tuple[Dialect, Query]:
    wiring = wiring_of(request.app)
    dialect = native.DIALECT

    def parse(body: Body) -> Query:
        nonlocal dialect
        dialect = wiring.dialects.choose(request.scope["path"], request.headers, body)
        context_of(request).dialect = dialect  # later errors use its format
        wiring.limits.check_counts(body, [dialect.documents])
        return dialect.parse(body)

    query = await read_query(request, parse)
    return dialect, query


async def get_queries(request: Request) -> list[Query]:
    limits = wiring_of(request.app).limits

    def parse(body: Body) -> list[Query]:
        limits.check_counts(body, chain(*score.SIDES))
        return score.parse(body)

    return await read_queries(request, parse)


DepReranker = Annotated[Ranker, Depends(get_reranker)]
DepQuery = Annotated[tuple[Dialect, Query], Depends(get_query)]
DepQueries = Annotated[list[Query], Depends(get_queries)]


async def rerank(request: Request, reranker: DepReranker, parsed: DepQuery) -> Response:
    dialect, query = parsed
    if query.ranker is not None:
        reranker = chosen_reranker(request, query.ranker)
    ranking = await rank(request, reranker, query)
    await step(request)
    answer = dialect.render(ranking, label(request, ranking))
    return await json_response(
        request, answer, dialect.headers(ranking) | marked(request, [ranking])
    )


def chosen_reranker(request: Request, choice: RankerChoice) -> Ranker:
    """The fallback costs money and takes texts away: callers choose it only if they may."""
    wiring = wiring_of(request.app)
    allowed = wiring.exposure.fallback_on_request or wiring.service.fallback is None
    if choice == "fallback" and not allowed:
        raise InvalidRequest(
            "ranker: callers may not choose the fallback here (RERANKD_FALLBACK_ON_REQUEST)",
            field="ranker",
        )
    return wiring.service.reranker(choice)


async def rank(request: Request, reranker: Ranker, query: Query) -> Ranking:
    tracer = wiring_of(request.app).tracer
    with tracer.span("rerank", "RERANKER", caller_trace(request.headers)) as span:
        trace_query(span, query)
        ranking = await reranker.rank(query)
        trace_ranking(span, ranking)
    if (scored := top_scored(ranking)) is not None:
        note_scores(request, ranking.model, scored)
        wiring_of(request.app).observe(scored)
    return ranking


async def score_pairs(request: Request, reranker: DepReranker, queries: DepQueries) -> Response:
    # Concurrently, so that overload is detected before much is computed: docs/decisions/0002.
    work: list[asyncio.Task[Ranking]] = []
    try:
        for query in queries:
            work.append(asyncio.create_task(reranker.rank(query)))
            if len(work) % QUERIES_BETWEEN_PAUSES == 0:
                await pause()
        rankings = await asyncio.gather(*work)
    finally:
        for task in work:
            task.cancel()
    answer = score.render(rankings, label(request, rankings[0]))
    return await json_response(request, answer, marked(request, rankings))


def label(request: Request, ranking: Ranking) -> Label:
    return Label(context_of(request).id, ranking.model, int(time.time()), ranking.by)


async def json_response(request: Request, answer: Any, headers: Mapping[str, str]) -> Response:
    body = await write_answer(request, answer)
    return Response(body, headers=dict(headers), media_type="application/json")


def takes(request: type[BaseModel]) -> dict[str, Any]:
    """The request body for the schema; FastAPI does not know it, because the route parses it."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{request.__name__}"}}
    if request is native.DIALECT.request:
        content["examples"] = native.EXAMPLES
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def make_router(dialects: Registry) -> APIRouter:
    router = APIRouter(dependencies=[Depends(require_key)])
    # The native dialect first: `/docs` shows the routes in this order.
    for dialect in sorted(dialects.dialects, key=lambda dialect: dialect is not native.DIALECT):
        for path in dialect.paths:
            add_rerank(router, path, dialect, shown=path == dialect.paths[0])
    for path in SCORE_PATHS:
        add_score(router, path, shown=path == SCORE_PATHS[0])
    return router


def add_rerank(router: APIRouter, path: str, dialect: Dialect, *, shown: bool) -> None:
    own = dialect is native.DIALECT
    router.add_api_route(
        path,
        rerank,
        methods=["POST"],
        summary="Rank documents by relevance to a query"
        if own
        else f"Rank documents, in the format of {dialect.name}",
        response_model=dialect.answer,
        responses=documented(*ERRORS, problem=own),
        openapi_extra=takes(dialect.request),
        include_in_schema=shown,
        tags=["rerank" if own else "dialects"],
        operation_id=f"rerank_{path.strip('/').replace('/', '_')}",
    )


def add_score(router: APIRouter, path: str, *, shown: bool) -> None:
    router.add_api_route(
        path,
        score_pairs,
        methods=["POST"],
        summary="Score pairs of texts, in the format of vLLM",
        response_model=score.ScoreAnswer,
        responses=documented(*ERRORS, problem=False),
        openapi_extra=takes(score.ScoreRequest),
        include_in_schema=shown,
        tags=["dialects"],
    )
