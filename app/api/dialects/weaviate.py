"""The reranker that Weaviate calls: the wire of its module `reranker-transformers`.

Weaviate sends at most 32 documents in a request, several requests at once, and maps scores to
objects by their position: so they return in the order of the request.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from app.api.dialects.dialect import Body, Dialect, Fault, Label
from app.api.dialects.fields import DOCUMENTS, QUERY, Lenient, Text, Texts, texts_of
from app.errors import InvalidRequest
from app.rerank.query import Document, Query, Ranking


class WeaviateRequest(Lenient):
    """With `documents`, `property` has no meaning. Without, it is the only text."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        json_schema_extra={
            "examples": [{"query": QUERY, "documents": [*DOCUMENTS], "property": ""}],
            "anyOf": [
                {"required": ["documents"], "properties": {"documents": {"type": "array"}}},
                {"required": ["property"], "properties": {"property": {"type": "string"}}},
            ],
        },
    )

    query: Text
    documents: Texts | None = None
    property: str | None = None


class WeaviateScore(BaseModel):
    document: str
    score: float


class WeaviateAnswer(BaseModel):
    query: str
    scores: list[WeaviateScore] | None
    property: str | None
    score: float | None


def parse(body: Body) -> Query:
    request = WeaviateRequest.model_validate(body)
    if request.documents is not None:
        return Query(request.query, texts_of(request.documents))
    if request.property is None:
        raise InvalidRequest("documents are needed, or a property", field="documents")
    # The body shows `render` that the only text is a property.
    return Query(request.query, [Document(request.property, body=body)])


def render(ranking: Ranking, _: Label) -> Body:
    query = ranking.query
    scores = {result.index: result.score for result in ranking.results}
    answer: Body = {"query": query.text, "scores": None, "property": None, "score": None}
    first = query.documents[0]
    if isinstance(first.body, dict):
        return answer | {"property": first.text, "score": scores[0]}
    pairs = [
        {"document": document.text, "score": scores[index]}
        for index, document in enumerate(query.documents)
    ]
    return answer | {"scores": pairs}


def refuse(fault: Fault) -> Body:
    """Weaviate shows `error`, and cannot read an object in its place."""
    return {"error": fault.detail}


DIALECT = Dialect(
    "weaviate",
    ("/weaviate/rerank",),
    WeaviateRequest,
    WeaviateAnswer,
    parse,
    render,
    refuse,
    prefix="weaviate",
    # Weaviate always sends this key, and its address may have no path.
    recognises=lambda signs: signs.path == "/rerank" and "property" in signs.keys,
)
