"""Leaves out documents that share little with the query, before the model scores the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.engines import Encoded, Pair
from app.rerank.query import UNSCORED, Document, Query, Ranking
from app.rerank.texts import is_blank

T = TypeVar("T")
NO_PREFILTER = "has no prefilter: all documents were scored"
Compare = Callable[[Sequence[Pair]], NDArray[np.floating]]


def filled_texts(documents: Sequence[Document]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(each.text for each in documents if not is_blank(each.text)))


def choose(
    query: Query, texts: Sequence[str], encoded: Sequence[Encoded], most: int, compare: Compare
) -> list[int]:
    """Indexes of the documents with the best `most` texts."""
    if len(texts) <= most:
        return list(range(len(query.documents)))
    evidence = compare([item.pair for item in encoded])
    best = {texts[index] for index in np.argsort(-evidence, kind="stable")[:most]}
    return [index for index, document in enumerate(query.documents) if document.text in best]


def narrowed(query: Query, kept: Sequence[int]) -> Query:
    return replace(query, documents=[query.documents[index] for index in kept])


def widened(ranking: Ranking, query: Query, kept: Sequence[int]) -> Ranking:
    """The ranking of the kept documents, with the indexes of the whole request."""
    logits = [UNSCORED] * len(query.documents)
    for index, logit in zip(kept, ranking.logits, strict=True):
        logits[index] = logit
    usage = ranking.usage
    return replace(
        ranking,
        query=query,
        results=[replace(result, index=kept[result.index]) for result in ranking.results],
        logits=logits,
        usage=replace(
            usage,
            truncated=[kept[index] for index in usage.truncated],
            empty=[kept[index] for index in usage.empty],
            failed=[kept[index] for index in usage.failed],
            unscored=len(query.documents) - len(kept),
        ),
        spans=by_index(ranking.spans, kept),
        readings=by_index(ranking.readings, kept),
    )


def by_index(values: Mapping[int, T], kept: Sequence[int]) -> dict[int, T]:
    return {kept[index]: value for index, value in values.items()}
