"""Documents as attributes of a span.

What a span holds stays in memory until the collector has it, so both the documents of a list and
the characters of each are limited; `rerankd.documents` has the number of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from app.tracing.tracer import TraceSpan

MAX_DOCUMENTS = 100
MAX_CHARS = 2_000


class TracedDocument(NamedTuple):
    id: str
    text: str
    score: float | None = None
    metadata: Mapping[str, Any] | None = None


def trace_documents(span: TraceSpan, name: str, documents: Sequence[TracedDocument]) -> None:
    """Ids and scores are facts; texts and metadata are content."""
    if not span.records:
        return
    facts: dict[str, str | float] = {}
    contents: dict[str, str] = {}
    for index, document in enumerate(documents[:MAX_DOCUMENTS]):
        prefix = f"{name}.{index}.document"
        facts[f"{prefix}.id"] = document.id
        if document.score is not None:
            facts[f"{prefix}.score"] = document.score
        if span.records_content:
            contents |= content_of(prefix, document)
    span.set(facts)
    span.set_content(contents)


def trace_output(span: TraceSpan, documents: Sequence[TracedDocument]) -> None:
    """For collectors that know no list of a reranker: they show the output as it is."""
    if not span.records_content:
        return
    rows = [
        {"id": document.id, "score": document.score, "text": shown(document.text)}
        for document in documents[:MAX_DOCUMENTS]
    ]
    span.set_content({"output.value": as_json(rows), "output.mime_type": "application/json"})


def content_of(prefix: str, document: TracedDocument) -> dict[str, str]:
    contents = {f"{prefix}.content": shown(document.text)}
    if document.metadata and len(metadata := as_json(document.metadata)) <= MAX_CHARS:
        contents[f"{prefix}.metadata"] = metadata
    return contents


def shown(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"


def as_json(value: object) -> str:
    """Metadata comes from stores and may hold anything."""
    return to_json(value, inf_nan_mode="null", fallback=str).decode()
