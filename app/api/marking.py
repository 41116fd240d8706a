"""Says who scored, in a header and in the log, and how well the best documents scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from fastapi import Request

from app.api.context import context_of
from app.events import TopScored
from app.rerank.query import SCORE_DECIMALS


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


def note_scores(request: Request, model: str, scored: TopScored) -> None:
    """Log the model and its best scores, from which `rerankd drift` sees a change."""
    fields: dict[str, object] = {"model": model, "top_score": round(scored.top, SCORE_DECIMALS)}
    if scored.gap is not None:
        fields["score_gap"] = round(scored.gap, SCORE_DECIMALS)
    context_of(request).log_fields |= fields
