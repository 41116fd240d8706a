"""Cohere, version 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from app.api.dialects.cohere_v2 import CohereAnswer, render_meta
from app.api.dialects.dialect import Body, Dialect, Label, Signs, as_object, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Either,
    Flag,
    Lenient,
    Text,
    example,
)
from app.rerank.query import Document, Query, Ranking

# Each document is searched for all of them.
MAX_RANK_FIELDS = 100


class CohereV1Request(Lenient):
    model_config = example(
        {
            "query": QUERY,
            "documents": [{"title": "Rules", "body": text} for text in DOCUMENTS],
            "rank_fields": ["title", "body"],
            "return_documents": True,
        }
    )

    model: str | None = None
    query: Text
    documents: Annotated[list[Either[str, dict[str, Any]]], Field(min_length=1, fail_fast=True)]
    top_n: Count = None
    rank_fields: Annotated[list[str], Field(max_length=MAX_RANK_FIELDS)] | None = None
    return_documents: Flag = None
    max_chunks_per_doc: Count = None


def parse(body: Body) -> Query:
    request = CohereV1Request.model_validate(body)
    fields = list(dict.fromkeys(request.rank_fields or []))
    return Query(
        text=request.query,
        documents=[
            Document(text_by(document, fields), body=document) for document in request.documents
        ],
        top_n=request.top_n or None,
        return_documents=bool(request.return_documents),
        windows=request.max_chunks_per_doc or None,
    )


def text_by(document: str | dict[str, Any], fields: Sequence[str]) -> str:
    """Join the fields to rank by, one per line with its name; a single field without its name."""
    if isinstance(document, str):
        return document
    if not fields and isinstance(document.get("text"), str):
        return str(document["text"])
    chosen = [name for name in fields or document if document.get(name) is not None]
    if len(chosen) == 1:
        return str(document[chosen[0]])
    return "\n".join(f"{name}: {document[name]}" for name in chosen)


def render(ranking: Ranking, label: Label) -> Body:
    results = ranked(ranking, as_object)
    return {"id": label.id, "results": results, "meta": render_meta(ranking, "1")}


def recognises(signs: Signs) -> bool:
    """Xinference and SiliconFlow also use `max_chunks_per_doc`, together with their own keys."""
    return signs.sdk.startswith("cohere") or bool(
        signs.keys & {"rank_fields", "max_chunks_per_doc"}
        and not signs.keys & {"kwargs", "return_len", "overlap_tokens"}
    )


DIALECT = Dialect(
    "cohere_v1",
    ("/cohere/v1/rerank",),
    CohereV1Request,
    CohereAnswer,
    parse,
    render,
    prefix="cohere",
    recognises=recognises,
)
