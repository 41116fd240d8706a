from __future__ import annotations

from app.rerank.query import Document, Query, Ranking, Result, Span, SpansWanted
from app.rerank.spans import MAX_SENTENCES, best, left_out, sentence_query, with_spans


def test_the_best_come_first_above_the_threshold_and_no_more_than_asked_for() -> None:
    first, second, third = Span(0, 4, 0.2), Span(5, 9, 0.9), Span(10, 16, 0.5)
    assert best([first, second, third], SpansWanted(0.3)) == [second, third]
    assert best([first, second, third], SpansWanted(0.3, most=1)) == [second]


def ranked(*texts: str) -> Ranking:
    """The last document is the best."""
    scores = [float(index) for index in range(len(texts))]
    results = [Result(index, scores[index]) for index in reversed(range(len(texts)))]
    return Ranking(Query("q", [Document(text) for text in texts]), results, scores)


def test_sentences_are_scored_up_to_a_limit_from_the_best_document_on() -> None:
    """Without one, a few megabytes of short sentences would hold up the service for seconds."""
    best_one = " ".join(f"{number}." for number in range(MAX_SENTENCES - 1))
    ranking = ranked("Never seen.", "Seen. Unseen.", best_one)
    query = sentence_query(ranking)
    assert len(query.documents) == MAX_SENTENCES
    assert query.documents[-1].text == "Seen."
    ranking_with_spans = with_spans(
        ranking, ranked(*(document.text for document in query.documents)), SpansWanted(0)
    )
    assert {index: len(spans) for index, spans in ranking_with_spans.spans.items()} == {
        2: MAX_SENTENCES - 1,
        1: 1,
        0: 0,
    }
    assert ranking_with_spans.warnings == [left_out([0, 1])]


def test_with_room_for_all_sentences_nothing_is_warned_of() -> None:
    ranking = ranked("", "One. Two.")
    ranking_with_spans = with_spans(ranking, ranked("Two.", "One."), SpansWanted(0))
    assert ranking_with_spans.spans == {1: [Span(0, 4, 1), Span(5, 9, 0)], 0: []}
    assert ranking_with_spans.warnings == []
