"""What callers ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic_core import to_json

from app.api.auth import require_key
from app.api.dialects import examples, native
from app.api.problems import documented
from app.api.reading import read_query
from app.rerank.query import Query
from app.rerank.reranker import Reranker
from app.service import Service

ERRORS = documented(400, 401, 413, 415, 422, 429, 500, 503, 504)

router = APIRouter(dependencies=[Depends(require_key)])


async def get_reranker(request: Request) -> Reranker:
    service: Service = request.app.state.service
    return service.reranker()


async def get_native_query(request: Request) -> Query:
    return await read_query(request, native.parse)


DepReranker = Annotated[Reranker, Depends(get_reranker)]
DepNativeQuery = Annotated[Query, Depends(get_native_query)]


@router.post(
    native.PATH,
    summary="Rank documents by relevance to a query",
    response_model=native.NativeAnswer,
    responses=ERRORS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/NativeRequest"},
                    "examples": examples.NATIVE,
                }
            },
        }
    },
)
async def rerank(request: Request, reranker: DepReranker, query: DepNativeQuery) -> Response:
    ranking = await reranker.rank(query)
    answer = native.render(ranking, answer_id=request.scope["request_id"], model=reranker.name)
    return Response(to_json(answer), media_type="application/json")
