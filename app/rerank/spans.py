"""Which sentences of a document made it score: each is scored alone, by the same model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from app.rerank.query import Document, Query, Ranking, Span, SpansWanted
from app.text.sentences import sentences

# Of an answer. Each takes about 10 µs of the interpreter, and other requests wait meanwhile.
MAX_SENTENCES = 5_000
# With the query beside each sentence; a long query leaves room for fewer.
MAX_SENTENCE_TOKENS = 50 * MAX_SENTENCES
USUAL_SENTENCE_CHARS = 100
MAX_DOCUMENTS_NAMED = 10


def sentences_of(ranking: Ranking) -> Iterator[tuple[int, int, int]]:
    """The sentences of the documents in the answer, of the best one first: index, start, end."""
    for result in ranking.results:
        for start, end in sentences(ranking.query.documents[result.index].text):
            yield result.index, start, end


def sentence_tokens(query: Query, chars_per_token: int) -> int:
    """About how many the sentences of the longest documents that may be in the answer will hold."""
    lengths = sorted((len(document.text) for document in query.documents), reverse=True)
    chars = sum(lengths[: query.top_n])
    count = min(MAX_SENTENCES, len(lengths[: query.top_n]) + chars // USUAL_SENTENCE_CHARS)
    return (chars + count * len(query.text)) // chars_per_token


def sentence_query(ranking: Ranking) -> Query:
    """The first of them, each once, as documents of their own."""
    texts = [document.text for document in ranking.query.documents]
    parts = (
        texts[index][start:end]
        for index, start, end in islice(sentences_of(ranking), MAX_SENTENCES)
    )
    documents = [Document(part) for part in dict.fromkeys(parts)]
    return replace(
        ranking.query, documents=documents, top_n=None, min_score=None, windows=0, truncate=True
    )


def with_spans(ranking: Ranking, scored: Ranking, wanted: SpansWanted) -> Ranking:
    """`scored` may lack the last sentences, or any from MAX_SENTENCES on."""
    parts = scored.query.documents
    scores = {parts[result.index].text: result.score for result in scored.results}
    spans: dict[int, list[Span]] = {result.index: [] for result in ranking.results}
    cut: set[int] = set()
    for count, (index, start, end) in enumerate(sentences_of(ranking)):
        if count == MAX_SENTENCES:
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
        spans={index: best(some, wanted) for index, some in spans.items()},
        usage=usage,
        times=times,
        warnings=[*ranking.warnings, *([left_out(cut)] if cut else [])],
    )


def from_there_on(ranking: Ranking, index: int) -> Iterator[int]:
    """The documents of the answer from one on that hold any text."""
    order = [result.index for result in ranking.results]
    texts = ranking.query.documents
    return (later for later in order[order.index(index) :] if texts[later].text.strip())


def left_out(documents: Collection[int]) -> str:
    shown = [f"documents[{index}]" for index in sorted(documents)[:MAX_DOCUMENTS_NAMED]]
    more = len(documents) - len(shown)
    names = ", ".join([*shown, *([f"{more} more"] if more else [])])
    return (
        f"relevant_spans: sentences of {names} were not scored; at most {MAX_SENTENCES} "
        f"sentences and {MAX_SENTENCE_TOKENS} tokens are, or what the queue accepts, the best "
        "documents first"
    )


def best(spans: Sequence[Span], wanted: SpansWanted) -> Sequence[Span]:
    """In order of score, those at or above the threshold."""
    chosen = [span for span in spans if span.score >= wanted.threshold]
    return sorted(chosen, key=lambda span: -span.score)[: wanted.most]
