"""Which sentences of a document made it score: each is scored alone, by the same model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise

from app.rerank.passages import cuts
from app.rerank.query import Document, Query, Ranking, Span, SpansAsked

END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*")  # noqa: RUF001 (they end sentences too)
LONGEST = 600  # characters that are scored as one
MOST = 5_000  # sentences of an answer: finding them holds up all other requests, some 10 µs each
LEFT_OUT = f"relevant_spans: only the first {MOST} sentences were scored, best documents first"


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each begins and ends, without the space around it."""
    edges = chain([0], (match.end() for match in END.finditer(text)), [len(text)])
    stretches = (
        (start + low, start + high)
        for start, end in pairwise(edges)
        for low, high in cuts(text[start:end], LONGEST)
    )
    return trimmed(text, stretches)


def trimmed(text: str, stretches: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, end in stretches:
        part = text[start:end]
        if part.strip():
            yield start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def found_in(ranking: Ranking) -> Iterator[tuple[int, int, int]]:
    """The sentences of the documents in the answer, of the best one first: index, start, end."""
    for result in ranking.results:
        for start, end in sentences(ranking.query.documents[result.index].text):
            yield result.index, start, end


def sentence_query(ranking: Ranking) -> Query:
    """The first of them, each once, as documents of their own."""
    texts = [document.text for document in ranking.query.documents]
    parts = (texts[index][start:end] for index, start, end in islice(found_in(ranking), MOST))
    documents = [Document(part) for part in dict.fromkeys(parts)]
    return replace(
        ranking.query, documents=documents, top_n=None, min_score=None, windows=0, truncate=True
    )


def with_spans(ranking: Ranking, scored: Ranking, asked: SpansAsked) -> Ranking:
    parts = scored.query.documents
    scores = {parts[result.index].text: result.score for result in scored.results}
    found = found_in(ranking)
    spans: dict[int, list[Span]] = {result.index: [] for result in ranking.results}
    for index, start, end in islice(found, MOST):
        text = ranking.query.documents[index].text[start:end]
        spans[index].append(Span(start, end, scores[text]))
    more = next(found, None) is not None
    usage = replace(ranking.usage, tokens=ranking.usage.tokens + scored.usage.tokens)
    times = replace(
        ranking.times,
        queue=ranking.times.queue + scored.times.queue,
        compute=ranking.times.compute + scored.times.compute,
        total=ranking.times.total + scored.times.total,
    )
    return replace(
        ranking,
        spans={index: best(some, asked) for index, some in spans.items()},
        usage=usage,
        times=times,
        warnings=[*ranking.warnings, *([LEFT_OUT] if more else [])],
    )


def best(spans: Sequence[Span], asked: SpansAsked) -> Sequence[Span]:
    """In order of score, those at or above the threshold."""
    chosen = [span for span in spans if span.score >= asked.threshold]
    return sorted(chosen, key=lambda span: -span.score)[: asked.most]
