"""What the model read of each document of an answer: how many tokens, which part, which windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.engines import Encoded
from app.rerank.query import Document, Query, Ranking, Reading, Span, SpansWanted
from app.rerank.texts import is_blank
from app.rerank.windows import window_bounds
from app.text import Side

# Of an answer, the best first. Where a text was cut is found with about a dozen encodings.
MAX_READINGS = 100
MAX_WINDOWS = 2_000
# Characters of a text that are tried first, for each token that was kept.
FIRST_CHARS_PER_TOKEN = 4
ALL_SENTENCES = SpansWanted(float("-inf"))

CountTokens = Callable[[str], int]
Bounds = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Extent:
    """What was read of one text. Without windows: one part of it, or all."""

    tokens: int
    read_tokens: int
    start: int
    end: int
    windows: Bounds = ()


def texts_to_explain(ranking: Ranking) -> list[str]:
    texts = (ranking.query.documents[result.index].text for result in ranking.results)
    return [text for text in dict.fromkeys(texts) if not is_blank(text)][:MAX_READINGS]


def extent_of(query: Query, text: str, encoded: Encoded, count_tokens: CountTokens) -> Extent:
    bounds = window_bounds(text, encoded) if query.windows else []
    if bounds:
        return extent_of_windows(query, encoded, bounds)
    if encoded.document <= encoded.kept:
        return Extent(encoded.document, encoded.document, 0, len(text))
    start, end = kept_part(text, encoded.kept, query.cut, count_tokens)
    return Extent(encoded.document, encoded.kept, start, end)


def extent_of_windows(query: Query, encoded: Encoded, bounds: Bounds) -> Extent:
    """A text that needs more windows than a document may have is read in part."""
    most = query.windows or len(bounds)
    chosen = bounds[:most] if query.cut == "right" else bounds[-most:]
    start, end = chosen[0][0], chosen[-1][1]
    length = bounds[-1][1]
    read = encoded.document * (end - start) // length
    return Extent(encoded.document, read, start, end, chosen)


def kept_part(text: str, kept: int, cut: Side, count_tokens: CountTokens) -> tuple[int, int]:
    """The longest beginning or end of a text that has no more tokens than were kept."""

    def fits(chars: int) -> bool:
        part = text[:chars] if cut == "right" else text[len(text) - chars :]
        return count_tokens(part) <= kept

    low, high = 0, min(len(text), FIRST_CHARS_PER_TOKEN * max(1, kept))
    while high < len(text) and fits(high):
        low, high = high, min(len(text), 2 * high)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return (0, low) if cut == "right" else (len(text) - low, len(text))


def window_query(query: Query, extents: Mapping[str, Extent]) -> Query:
    """The windows of all texts as documents of their own, each once."""
    parts = (text[start:end] for text, own in extents.items() for start, end in own.windows)
    documents = [Document(part) for part in dict.fromkeys(parts)][:MAX_WINDOWS]
    return replace(query, documents=documents, top_n=None, min_score=None, windows=0, truncate=True)


def with_readings(
    ranking: Ranking, extents: Mapping[str, Extent], scored: Ranking | None
) -> Ranking:
    """`scored` has the windows that were scored; the others are left out."""
    scores: dict[str, float] = {}
    if scored is not None:
        documents = scored.query.documents
        scores = {documents[result.index].text: result.score for result in scored.results}
    readings: dict[int, Reading] = {}
    missing = 0
    for result in ranking.results:
        text = ranking.query.documents[result.index].text
        if text not in extents:
            continue
        own = extents[text]
        parts = [(start, end, scores.get(text[start:end])) for start, end in own.windows]
        windows = [Span(start, end, score) for start, end, score in parts if score is not None]
        missing += len(parts) - len(windows)
        readings[result.index] = Reading(own.tokens, own.read_tokens, own.start, own.end, windows)
    warnings = [*ranking.warnings, *warnings_of(ranking, readings, missing)]
    return replace(ranking, readings=readings, warnings=warnings)


def warnings_of(
    ranking: Ranking, readings: Mapping[int, Reading], missing_windows: int
) -> list[str]:
    filled = sum(
        not is_blank(ranking.query.documents[result.index].text) for result in ranking.results
    )
    warnings = []
    if filled > len(readings):
        left_out = filled - len(readings)
        warnings.append(
            f"explain: {left_out} documents have no reading; at most {MAX_READINGS} texts do, "
            "the best first"
        )
    if missing_windows:
        warnings.append(
            f"explain: {missing_windows} windows were not scored; at most {MAX_WINDOWS} are, or "
            "what the queue accepts"
        )
    return warnings
