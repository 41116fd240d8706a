"""`/score` of vLLM: pairs one text with many, or two lists of equal length, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.config import JsonDict, JsonValue

from app.api.dialects.dialect import Body, Label
from app.api.dialects.fields import DOCUMENTS, QUERY
from app.api.dialects.vllm import Content, VllmContent, VllmOptions, text_of
from app.errors import InvalidRequest
from app.rerank.query import Document, Query, Ranking


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "<list>"
    return "<object>" if isinstance(value, dict | BaseModel) else "<string>"


Contents = Annotated[
    Annotated[str, Tag("<string>")]
    | Annotated[VllmContent, Tag("<object>")]
    | Annotated[list[Content], Field(min_length=1, fail_fast=True), Tag("<list>")],
    Discriminator(_kind),
]

# The names that the two lists may have.
SIDES = (
    ("text_1", "text_2"),
    ("data_1", "data_2"),
    ("queries", "documents"),
    ("queries", "items"),
)


def both(first: str, second: str) -> JsonDict:
    """The schema of a body that has both fields."""
    there: JsonDict = {"not": {"type": "null"}}
    names: list[JsonValue] = [first, second]
    return {"required": names, "properties": {first: there, second: there}}


class ScoreRequest(VllmOptions):
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"model": "BAAI/bge-reranker-v2-m3", "text_1": QUERY, "text_2": [*DOCUMENTS]}
            ],
            "anyOf": [both(first, second) for first, second in SIDES],
        },
    )

    text_1: Contents | None = None
    text_2: Contents | None = None
    data_1: Contents | None = None
    data_2: Contents | None = None
    queries: Contents | None = None
    documents: Contents | None = None
    items: Contents | None = None


class ScoreResult(BaseModel):
    index: int
    object: Literal["score"]
    score: float


class ScoreAnswer(BaseModel):
    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[ScoreResult]
    usage: dict[str, int]


def parse(body: Body) -> list[Query]:
    """Make a query for each first text; the id of a document is the index of its pair."""
    request = ScoreRequest.model_validate(body)
    first, second = sides_of(request)
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise InvalidRequest(
            f"{len(first)} texts cannot be paired with {len(second)}: send one or the same number",
            field="text_1",
        )
    paired: dict[str, list[Document]] = {}
    for index, (text, document) in enumerate(zip(first, second, strict=True)):
        paired.setdefault(text, []).append(Document(document, id=index))
    return [
        Query(
            text=text,
            documents=documents,
            score=request.score,
            cut=request.truncation_side or "right",
            priority=request.urgency,
        )
        for text, documents in paired.items()
    ]


def sides_of(request: ScoreRequest) -> tuple[list[str], list[str]]:
    for names in SIDES:
        first, second = (getattr(request, name) for name in names)
        if first is not None and second is not None:
            return texts(first), texts(second)
    raise InvalidRequest("text_1 and text_2 are needed, or queries and documents", field="text_1")


def texts(contents: str | VllmContent | list[str | VllmContent]) -> list[str]:
    every = contents if isinstance(contents, list) else [contents]
    return [text_of(content) for content in every]


def render(rankings: Sequence[Ranking], label: Label) -> Body:
    scores = {
        ranking.query.documents[result.index].id: result.score
        for ranking in rankings
        for result in ranking.results
    }
    tokens = sum(ranking.usage.tokens for ranking in rankings)
    return {
        "id": f"score-{label.id}",
        "object": "list",
        "created": label.created,
        "model": label.model,
        "data": [
            {"index": index, "object": "score", "score": scores[index]}
            for index in range(len(scores))
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
