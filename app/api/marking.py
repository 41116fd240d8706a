"""Names the model or service that scored, in a header; another service also in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from fastapi import Request

from app.api.context import context_of


class Ranked(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def by(self) -> str: ...


def marked(request: Request, ranked: Sequence[Ranked]) -> dict[str, str]:
    """The headers; empty if nothing was ranked."""
    if others := sorted({ranking.by for ranking in ranked if ranking.by}):
        context_of(request).log_fields["reranked_by"] = ", ".join(others)
    scorers = sorted({ranking.by or ranking.model for ranking in ranked} - {""})
    names = ", ".join(quote(name, safe="/:@+=") for name in scorers)
    return {"X-Reranked-By": names} if names else {}
