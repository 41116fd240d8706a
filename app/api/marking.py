"""Says who scored, in a header and in the log, and how well the best documents scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from fastapi import Request

from app.api.context import context_of
from app.api.wiring import wiring_of
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


def note_scores(request: Request, model: str, best: Sequence[float]) -> None:
    """Record the model and its best two probabilities, from which `rerankd drift` sees a change."""
    if not best:
        return
    top, gap = best[0], best[0] - best[1] if len(best) > 1 else None
    fields: dict[str, object] = {"model": model, "top_score": round(top, SCORE_DECIMALS)}
    if gap is not None:
        fields["score_gap"] = round(gap, SCORE_DECIMALS)
    context_of(request).log_fields |= fields
    wiring_of(request.app).observe(TopScored(top, gap))
