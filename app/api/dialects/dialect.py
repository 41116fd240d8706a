"""Defines a dialect: its paths, how it is recognised, and functions that parse and render."""

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
    """The fields of an answer that do not come from the ranking."""

    id: str
    model: str
    created: int
    # The other service that scored, if one did.
    by: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error says; each dialect writes it in its own format."""

    status: int
    type: str
    detail: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Signs:
    """The features of a request that identify its dialect if several share a path."""

    path: str
    # The name and version of the client library, in lower case.
    sdk: str
    # The keys of the body; empty before it is read.
    keys: AbstractSet[str]


def universal_body(fault: Fault) -> Body:
    """An error body that nearly all clients can read."""
    return {
        "message": fault.detail,
        "detail": fault.detail,
        "error": {
            "message": fault.detail,
            "type": fault.type,
            "param": fault.field,
            "code": None,
        },
        "error_type": fault.type,
    }


def body_with_status(fault: Fault) -> Body:
    """The universal body, with the status in the field that clients of OpenAI read."""
    body = universal_body(fault)
    return body | {"error": body["error"] | {"code": fault.status}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The schema shows only the first of `paths`. Paths under `prefix` need no recognition.

    `statuses` maps the type of a problem to the status that clients of this dialect expect.
    If `refuse` is None, errors are problem+json. `documents` is the key of the documents.
    """

    name: str
    paths: Sequence[str]
    request: type[BaseModel]
    answer: Any
    parse: Callable[[Body], Query]
    render: Callable[[Ranking, Label], Any]
    refuse: Callable[[Fault], Any] | None = universal_body
    prefix: str = ""
    recognises: Callable[[Signs], bool] = lambda signs: False
    statuses: Mapping[str, int] = field(default_factory=dict)
    headers: Callable[[Ranking], dict[str, str]] = lambda ranking: {}
    documents: str = "documents"


def as_object(document: Document) -> Any:
    """The object that the caller sent, or an object with the text."""
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
    """Each result with its index and score, and with its document if the query requests it."""
    query = ranking.query
    return [
        {"index": result.index, score: result.score}
        | ({document: echo(query.documents[result.index])} if query.return_documents else {})
        for result in ranking.results
    ]


def warnings_of(ranking: Ranking) -> list[str]:
    """Warnings: ignored fields, and documents that were cut or could not be scored."""
    usage = ranking.usage
    defects = (("cut to fit the model", usage.truncated), ("not scored", usage.failed))
    return [
        *ranking.warnings,
        *(f"{defect}: documents {list(indices)}" for defect, indices in defects if indices),
    ]
