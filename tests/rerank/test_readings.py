from __future__ import annotations

import asyncio

import pytest

from app.engines import Encoded
from app.rerank.query import UNSCORED, Query, Reading
from app.rerank.readings import MAX_READINGS, extent_of, kept_part
from tests.fakes import pair
from tests.rerank.bench import Bench

WORDS = [f"w{number:03}" for number in range(300)]
LONG = " ".join(WORDS)
ROOM = 99  # words of a document beside the query of the bench


def count_words(text: str) -> int:
    return len(text.split())


def encoded(words: int, kept: int) -> Encoded:
    return Encoded(pair(kept + 1, kept), words + 1, words, kept)


def test_a_text_that_fits_was_read_as_a_whole() -> None:
    own = extent_of(Query("q", []), "a b c", encoded(3, 3), count_words)
    assert (own.tokens, own.read_tokens, own.start, own.end, own.windows) == (3, 3, 0, 5, ())


@pytest.mark.parametrize("kept", [1, 7, 99, 299])
def test_the_part_that_was_kept_ends_where_its_tokens_no_longer_fit(kept: int) -> None:
    start, end = kept_part(LONG, kept, "right", count_words)
    assert start == 0
    assert LONG[:end].split() == WORDS[:kept]
    assert count_words(LONG[: end + 1]) == kept + 1 or end == len(LONG)


def test_a_text_that_is_cut_on_the_left_was_read_from_there_to_its_end() -> None:
    start, end = kept_part(LONG, 7, "left", count_words)
    assert end == len(LONG)
    assert LONG[start:].split() == WORDS[-7:]


def test_a_text_without_a_token_that_fits_was_not_read() -> None:
    assert kept_part("many words here", 0, "right", count_words) == (0, 0)


def test_few_encodings_find_the_cut_of_a_long_text() -> None:
    calls: list[str] = []

    def count(text: str) -> int:
        calls.append(text)
        return count_words(text)

    kept_part(LONG * 100, ROOM, "right", count)
    assert len(calls) <= 20
    assert max(map(len, calls)) <= 16 * ROOM


def reading_of(*texts: str, **options: object) -> dict[int, Reading]:
    return dict(asyncio.run(Bench().rank(*texts, explain=True, **options)).readings)


def test_each_document_of_the_answer_has_a_reading() -> None:
    readings = reading_of("a b", LONG, "", "a b")
    assert readings[0] == readings[3] == Reading(2, 2, 0, 3, [])
    assert (readings[1].tokens, readings[1].read_tokens) == (300, ROOM)
    assert LONG[readings[1].start : readings[1].end].split() == WORDS[:ROOM]
    assert 2 not in readings  # an empty document is not read


def test_a_document_in_windows_shows_each_with_its_score() -> None:
    (reading,) = reading_of(LONG, windows=10, score="logit").values()
    assert (reading.tokens, reading.read_tokens, reading.end) == (300, 300, len(LONG))
    assert len(reading.windows) >= 4
    assert [part.score for part in reading.windows] == [
        float(count_words(LONG[part.start : part.end])) for part in reading.windows
    ]


def test_the_best_window_is_the_score_of_the_document() -> None:
    ranking = asyncio.run(Bench().rank(LONG, explain=True, windows=10, score="logit"))
    best = max(part.score for part in ranking.readings[0].windows)
    assert ranking.results[0].score == best


def test_a_document_with_more_windows_than_allowed_was_read_in_part() -> None:
    (reading,) = reading_of(LONG, windows=2).values()
    assert len(reading.windows) == 2
    assert reading.end == reading.windows[-1].end < len(LONG)
    assert ROOM < reading.read_tokens < 300


def test_all_sentences_come_with_the_readings() -> None:
    ranking = asyncio.run(Bench().rank("One. Two words.", explain=True))
    assert sorted((span.start, span.end) for span in ranking.spans[0]) == [(0, 4), (5, 15)]


def test_only_what_is_in_the_answer_is_explained() -> None:
    ranking = asyncio.run(Bench().rank("a", "a b", "a b c", explain=True, top_n=1))
    assert list(ranking.readings) == [2]


def test_beyond_the_limit_the_best_have_readings_and_a_warning_counts_the_others() -> None:
    texts = [" ".join([*WORDS[: 1 + number % 90], str(number)]) for number in range(105)]
    ranking = asyncio.run(Bench().rank(*texts, explain=True))
    explained = [result.index for result in ranking.results[:MAX_READINGS]]
    assert set(ranking.readings) == set(explained)
    assert any(warning.startswith("explain: 5 documents") for warning in ranking.warnings)


def test_without_the_wish_nothing_is_read_twice() -> None:
    bench = Bench()
    ranking = asyncio.run(bench.rank("a b", LONG))
    assert (ranking.readings, len(bench.encoder.calls)) == ({}, 1)


def test_a_list_of_empty_documents_has_nothing_to_explain() -> None:
    ranking = asyncio.run(Bench().rank("", " ", explain=True))
    assert ranking.readings == {}
    assert list(ranking.logits) == [UNSCORED, UNSCORED]
