"""From scores to an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest

from app.events import Ranked, TopScored
from app.rerank.cache import TextScore
from app.rerank.query import (
    UNSCORED,
    Query,
    Ranking,
    Result,
    ScoreKind,
    Times,
    Usage,
    present,
    probability,
)
from app.rerank.texts import is_blank


def make_ranking(
    query: Query,
    scores: Mapping[str, TextScore],
    cached: int,
    times: Times,
    show: Callable[[float, ScoreKind], float] = present,
) -> Ranking:
    """Best first, ties in the order of the request, documents without a score last."""
    by_document = [scores.get(document.text) for document in query.documents]
    logits = [score.logit if score is not None else UNSCORED for score in by_document]
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    results = [Result(index, show(logits[index], query.score)) for index in order]
    if query.min_score is not None:
        results = [result for result in results if result.score >= query.min_score]
    usage = make_usage(query, by_document, cached)
    return Ranking(query, results[: query.top_n], logits, usage, times)


def top_scored(ranking: Ranking) -> TopScored | None:
    """Of all documents, whatever kind of score and however many results were requested."""
    scored = (logit for logit in ranking.logits if logit != UNSCORED)
    return top_of([probability(logit) for logit in nlargest(2, scored)])


def top_of(probabilities: Sequence[float]) -> TopScored | None:
    """`probabilities` are in descending order. None if there are none."""
    if not probabilities:
        return None
    top, *others = probabilities[:2]
    return TopScored(top, top - others[0] if others else None)


def make_usage(query: Query, scores: Sequence[TextScore | None], cached: int) -> Usage:
    texts = [document.text for document in query.documents]
    empty = [index for index, text in enumerate(texts) if is_blank(text)]
    blank = set(empty)
    filled = {text for index, text in enumerate(texts) if index not in blank}
    return Usage(
        tokens=sum(score.tokens for score in scores if score is not None),
        truncated=[i for i, score in enumerate(scores) if score is not None and score.truncated],
        empty=empty,
        failed=[i for i, score in enumerate(scores) if score is None and i not in blank],
        duplicates=len(texts) - len(empty) - len(filled),
        cached=cached,
    )


def ranked(ranking: Ranking) -> Ranked:
    usage, times = ranking.usage, ranking.times
    return Ranked(
        len(ranking.query.documents),
        len(usage.truncated),
        usage.duplicates,
        usage.cached,
        [probability(logit) for logit in ranking.logits],
        bool(ranking.by),
        times.tokenize,
        times.queue,
        times.compute,
    )
