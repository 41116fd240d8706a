"""What a dialect is: where it is served, how it is recognised, and two pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from app.rerank.query import Document, Query, Ranking

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Label:
    """What an answer has besides the ranking."""

    id: str
    model: str
    created: int
    # Who scored, where it was another service.
    by: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    type: str
    detail: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Signs:
    """By these a request's dialect is recognised where several share a path."""

    path: str
    # The name and version that the client sends, in lower case.
    sdk: str
    # Those of the body; none while it has not been read.
    keys: AbstractSet[str]


def universal_body(refusal: Refusal) -> Body:
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


def body_with_status(refusal: Refusal) -> Body:
    """The same, with the status where clients like OpenAI's look for it."""
    body = universal_body(refusal)
    return body | {"error": body["error"] | {"code": refusal.status}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The first of `paths` is the documented one. Under `prefix` no request needs recognition.

    `statuses` maps the type of a problem to the status that clients of this dialect expect.
    Without `refuse` a refusal is problem+json. `documents` is the key of the documents.
    """

    name: str
    paths: Sequence[str]
    request: type[BaseModel]
    answer: Any
    parse: Callable[[Body], Query]
    render: Callable[[Ranking, Label], Any]
    refuse: Callable[[Refusal], Any] | None = universal_body
    prefix: str = ""
    recognises: Callable[[Signs], bool] = lambda signs: False
    statuses: Mapping[str, int] = field(default_factory=dict)
    headers: Callable[[Ranking], dict[str, str]] = lambda ranking: {}
    documents: str = "documents"


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
    """Each result by its index and score, with its document if the query wants it."""
    query = ranking.query
    return [
        {"index": result.index, score: result.score}
        | ({document: echo(query.documents[result.index])} if query.return_documents else {})
        for result in ranking.results
    ]


def warnings_of(ranking: Ranking) -> list[str]:
    """What was ignored, cut, or could not be scored."""
    usage = ranking.usage
    defects = (("cut to fit the model", usage.truncated), ("not scored", usage.failed))
    return [
        *ranking.warnings,
        *(f"{defect}: documents {list(indices)}" for defect, indices in defects if indices),
    ]
