"""What a wire format is: two pure functions, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from app.rerank.query import Document, Query, Ranking

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Label:
    """What an answer is marked with besides its content."""

    id: str
    model: str
    created: int
    by: str = ""  # who scored, where it was another service


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    type: str
    detail: str
    field: str | None = None


def everyones(refusal: Refusal) -> Body:
    """One body in which nearly every client finds its error."""
    return {
        "message": refusal.detail,
        "detail": refusal.detail,
        "error": {
            "message": refusal.detail,
            "type": refusal.type,
            "param": refusal.field,
            "code": None,
        },
        "error_type": refusal.type,
    }


def coded(refusal: Refusal) -> Body:
    """The same, with the status where clients of OpenAI's kind look for it."""
    body = everyones(refusal)
    return body | {"error": body["error"] | {"code": refusal.status}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """`statuses` maps the type of a problem to the status this dialect's clients know it by."""

    name: str
    request: type[BaseModel]
    answer: Any
    parse: Callable[[Body], Query]
    render: Callable[[Ranking, Label], Any]
    refuse: Callable[[Refusal], Any] | None = everyones  # None: as problem+json
    statuses: Mapping[str, int] = field(default_factory=dict)
    headers: Callable[[Ranking], dict[str, str]] = lambda ranking: {}
    documents: str = "documents"  # what it calls them


def as_object(document: Document) -> Any:
    """A document as an object: the caller's own, or its text."""
    return document.body if isinstance(document.body, dict) else {"text": document.text}


def as_text(document: Document) -> Any:
    return document.text


def ranked(
    ranking: Ranking,
    echo: Callable[[Document], Any],
    *,
    score: str = "relevance_score",
    document: str = "document",
) -> list[Body]:
    """Each result by its index and score, with its document only when that was asked for."""
    query = ranking.query
    return [
        {"index": one.index, score: one.score}
        | ({document: echo(query.documents[one.index])} if query.return_documents else {})
        for one in ranking.results
    ]


def warnings_of(ranking: Ranking) -> list[str]:
    """For dialects that have room for them: what was ignored, cut, or could not be scored."""
    usage = ranking.usage
    told = (("cut to fit the model", usage.truncated), ("not scored", usage.failed))
    return [
        *ranking.warnings,
        *(f"{what}: documents {list(indices)}" for what, indices in told if indices),
    ]
