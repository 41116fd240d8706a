"""What a request may hold, whatever its wire format."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import InvalidRequest
from app.rerank.query import Query


@dataclass(frozen=True, slots=True)
class RequestLimits:
    body_bytes: int
    documents: int
    document_chars: int
    query_chars: int

    def check(self, queries: list[Query]) -> list[Query]:
        """What one request asks for, in all."""
        documents = sum(len(query.documents) for query in queries)
        self.most("documents", documents, self.documents, "documents")
        for query in queries:
            self._check_texts(query)
        return queries

    def _check_texts(self, query: Query) -> None:
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
