"""From scores to an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.rerank.cache import Known
from app.rerank.query import (
    UNSCORED,
    Query,
    Ranking,
    Result,
    ScoreKind,
    Times,
    Usage,
    present,
)
from app.rerank.texts import is_blank


def make_ranking(
    query: Query,
    known: Mapping[str, Known],
    cached: int,
    times: Times,
    show: Callable[[float, ScoreKind], float] = present,
) -> Ranking:
    """Best first, ties in the order given, what has no score last."""
    found = [known.get(document.text) for document in query.documents]
    logits = [one.logit if one is not None else UNSCORED for one in found]
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    results = [Result(index, show(logits[index], query.score)) for index in order]
    if query.min_score is not None:
        results = [result for result in results if result.score >= query.min_score]
    return Ranking(query, results[: query.top_n], logits, make_usage(query, found, cached), times)


def make_usage(query: Query, found: list[Known | None], cached: int) -> Usage:
    texts = [document.text for document in query.documents]
    empty = [index for index, text in enumerate(texts) if is_blank(text)]
    blank = set(empty)
    filled = {text for index, text in enumerate(texts) if index not in blank}
    return Usage(
        tokens=sum(one.tokens for one in found if one is not None),
        truncated=[i for i, one in enumerate(found) if one is not None and one.whole > one.tokens],
        empty=empty,
        failed=[i for i, one in enumerate(found) if one is None and i not in blank],
        duplicates=len(texts) - len(empty) - len(filled),
        cached=cached,
    )
