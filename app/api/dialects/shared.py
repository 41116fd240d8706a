"""`/v1/rerank` for requests of unknown dialect: an answer that clients of many can read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.api.dialects import jina
from app.api.dialects.cohere_v2 import render_meta
from app.api.dialects.dialect import Body, Dialect, Fault, Label, universal_body
from app.rerank.query import Query, Ranking


class SharedAnswer(jina.JinaAnswer):
    id: str
    created: int
    data: list[jina.JinaResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    """Parse like Jina, but echo documents only if the body requests it."""
    return replace(jina.parse(body), return_documents=body.get("return_documents") is True)


def render(ranking: Ranking, label: Label) -> Body:
    """Clients of Voyage read `data`, those of Cohere read `meta`, all others `results`."""
    answer = jina.render(ranking, label)
    return answer | {
        "id": label.id,
        "created": label.created,
        "data": answer["results"],
        "meta": render_meta(ranking, "1"),
    }


def refuse(fault: Fault) -> Body:
    """`error` is a string, because older clients of Voyage cannot handle an object."""
    return universal_body(fault) | {"error": fault.detail}


DIALECT = Dialect(
    "shared",
    ("/v1/rerank",),
    jina.JinaRequest,
    SharedAnswer,
    parse,
    render,
    refuse,
    recognises=lambda signs: True,
)
