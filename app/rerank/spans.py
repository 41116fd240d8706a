"""Which sentences of a document made it score: each is scored alone, by the same model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from app.rerank.passages import cuts
from app.rerank.query import Document, Query, Ranking, Span, SpansAsked

END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")  # noqa: RUF001 (they end sentences too)
LONGEST = 600  # characters that are scored as one


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each begins and ends, without the space around it."""
    edges = [0, *(match.end() for match in END.finditer(text)), len(text)]
    stretches = (
        (start + low, start + high)
        for start, end in pairwise(edges)
        for low, high in cuts(text[start:end], LONGEST)
    )
    return list(trimmed(text, stretches))


def trimmed(text: str, stretches: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, end in stretches:
        part = text[start:end]
        if part.strip():
            yield start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def sentence_query(ranking: Ranking) -> Query:
    """The sentences of all documents in the answer, each once, as documents of their own."""
    texts = (ranking.query.documents[result.index].text for result in ranking.results)
    parts = (text[start:end] for text in texts for start, end in sentences(text))
    documents = [Document(part) for part in dict.fromkeys(parts)]
    return replace(
        ranking.query, documents=documents, top_n=None, min_score=None, windows=0, truncate=True
    )


def with_spans(ranking: Ranking, scored: Ranking, asked: SpansAsked) -> Ranking:
    parts = scored.query.documents
    scores = {parts[result.index].text: result.score for result in scored.results}
    spans = {
        result.index: best(ranking.query.documents[result.index].text, scores, asked)
        for result in ranking.results
    }
    usage = replace(ranking.usage, tokens=ranking.usage.tokens + scored.usage.tokens)
    times = replace(
        ranking.times,
        queue=ranking.times.queue + scored.times.queue,
        compute=ranking.times.compute + scored.times.compute,
        total=ranking.times.total + scored.times.total,
    )
    return replace(ranking, spans=spans, usage=usage, times=times)


def best(text: str, scores: Mapping[str, float], asked: SpansAsked) -> Sequence[Span]:
    """In order of score, those at or above the threshold."""
    found = [Span(start, end, scores[text[start:end]]) for start, end in sentences(text)]
    chosen = [span for span in found if span.score >= asked.threshold]
    return sorted(chosen, key=lambda span: -span.score)[: asked.most]
