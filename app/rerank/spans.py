"""Which sentences of a document made it score: each is scored alone, by the same model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from app.rerank.query import Document, Query, Ranking, Span, SpansAsked
from app.text.sentences import sentences

MOST = 5_000  # sentences of an answer: finding them holds up all other requests, some 10 µs each
MAX_SENTENCE_TOKENS = 50 * MOST  # with the query beside each; more only where the query is long
USUAL = 100  # characters of a sentence
NAMED = 10  # documents that a warning names


def found_in(ranking: Ranking) -> Iterator[tuple[int, int, int]]:
    """The sentences of the documents in the answer, of the best one first: index, start, end."""
    for result in ranking.results:
        for start, end in sentences(ranking.query.documents[result.index].text):
            yield result.index, start, end


def sentence_tokens(query: Query, chars_per_token: int) -> int:
    """About how many the sentences of the longest documents that may be in the answer will hold."""
    lengths = sorted((len(document.text) for document in query.documents), reverse=True)
    chars = sum(lengths[: query.top_n])
    count = min(MOST, len(lengths[: query.top_n]) + chars // USUAL)
    return (chars + count * len(query.text)) // chars_per_token


def sentence_query(ranking: Ranking) -> Query:
    """The first of them, each once, as documents of their own."""
    texts = [document.text for document in ranking.query.documents]
    parts = (texts[index][start:end] for index, start, end in islice(found_in(ranking), MOST))
    documents = [Document(part) for part in dict.fromkeys(parts)]
    return replace(
        ranking.query, documents=documents, top_n=None, min_score=None, windows=0, truncate=True
    )


def with_spans(ranking: Ranking, scored: Ranking, asked: SpansAsked) -> Ranking:
    """`scored` may lack the last sentences, or any from MOST on."""
    parts = scored.query.documents
    scores = {parts[result.index].text: result.score for result in scored.results}
    spans: dict[int, list[Span]] = {result.index: [] for result in ranking.results}
    cut: set[int] = set()
    for count, (index, start, end) in enumerate(found_in(ranking)):
        if count == MOST:
            cut.update(from_there_on(ranking, index))
            break
        text = ranking.query.documents[index].text[start:end]
        if text in scores:
            spans[index].append(Span(start, end, scores[text]))
        else:
            cut.add(index)
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
        warnings=[*ranking.warnings, *([left_out(cut)] if cut else [])],
    )


def from_there_on(ranking: Ranking, index: int) -> Iterator[int]:
    """The documents of the answer from one on that hold any text."""
    order = [result.index for result in ranking.results]
    texts = ranking.query.documents
    return (one for one in order[order.index(index) :] if texts[one].text.strip())


def left_out(documents: Collection[int]) -> str:
    shown = [f"documents[{index}]" for index in sorted(documents)[:NAMED]]
    more = len(documents) - len(shown)
    names = ", ".join([*shown, *([f"{more} more"] if more else [])])
    return (
        f"relevant_spans: sentences of {names} were not scored: at most {MOST} sentences and "
        f"{MAX_SENTENCE_TOKENS} tokens are, or what the queue accepts, best documents first"
    )


def best(spans: Sequence[Span], asked: SpansAsked) -> Sequence[Span]:
    """In order of score, those at or above the threshold."""
    chosen = [span for span in spans if span.score >= asked.threshold]
    return sorted(chosen, key=lambda span: -span.score)[: asked.most]
