"""`/v1/rerank` without a sign of one dialect: an answer that clients of many can read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.api.dialects import jina
from app.api.dialects.cohere_v2 import render_meta
from app.api.dialects.dialect import Body, Dialect, Label, Refusal, universal_body
from app.rerank.query import Query, Ranking


class SharedAnswer(jina.JinaAnswer):
    id: str
    created: int
    data: list[jina.JinaResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    """As Jina does, but documents are echoed only if the body says so."""
    return replace(jina.parse(body), return_documents=body.get("return_documents") is True)


def render(ranking: Ranking, label: Label) -> Body:
    """Voyage's clients look for `data`, Cohere's for `meta`, all the others for `results`."""
    answer = jina.render(ranking, label)
    return answer | {
        "id": label.id,
        "created": label.created,
        "data": answer["results"],
        "meta": render_meta(ranking, "1"),
    }


def refuse(refusal: Refusal) -> Body:
    """`error` is a sentence here: an object there makes older Voyage clients fail as they raise."""
    return universal_body(refusal) | {"error": refusal.detail}


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
