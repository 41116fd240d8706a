"""Limits on the contents of a request, for all wire formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidRequest
from app.rerank.query import Query


@dataclass(frozen=True, slots=True)
class RequestLimits:
    body_bytes: int
    documents: int
    document_chars: int
    query_chars: int
    json_values: int

    def check_counts(self, body: Mapping[str, Any], lists: Iterable[str]) -> None:
        """Check the counts before parsing, because parsing too many documents takes long."""
        for name in lists:
            values = body.get(name)
            if isinstance(values, list):
                self.most(name, len(values), self.documents, "documents")

    def check_texts(self, query: Query) -> None:
        self.most("query", len(query.text), self.query_chars, "characters")
        self.most("instruction", len(query.instruction or ""), self.query_chars, "characters")
        for index, document in enumerate(query.documents):
            if len(document.text) > self.document_chars:
                field = f"documents[{index}]"
                self.most(field, len(document.text), self.document_chars, "characters")

    @staticmethod
    def most(field: str, count: int, limit: int, unit: str) -> None:
        if count > limit:
            raise InvalidRequest(
                f"{field} holds {count} {unit}, more than the limit of {limit}",
                field=field,
                limit=limit,
            )
