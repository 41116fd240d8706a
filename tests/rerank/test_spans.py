from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.rerank.query import Span, SpansAsked
from app.rerank.spans import best, sentences

TEXT = "It opens at nine.  Books are lent; ask!\n\n図書館です。はい。 The end"


def test_sentences_are_found_by_code_point_without_the_space_around_them() -> None:
    assert [TEXT[start:end] for start, end in sentences(TEXT)] == [
        "It opens at nine.",
        "Books are lent; ask!",
        "図書館です。",
        "はい。",
        "The end",
    ]


@given(st.text(st.sampled_from("ab. !\n日。"), max_size=80))
def test_sentences_hold_every_letter_once(text: str) -> None:
    parts = [text[start:end] for start, end in sentences(text)]
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in parts)


def test_the_best_come_first_above_the_threshold_and_no_more_than_asked_for() -> None:
    scores = {"One.": 0.2, "Two.": 0.9, "Three.": 0.5}
    asked = SpansAsked(threshold=0.3)
    assert best("One. Two. Three.", scores, asked) == [Span(5, 9, 0.9), Span(10, 16, 0.5)]
    assert best("One. Two. Three.", scores, SpansAsked(0.3, most=1)) == [Span(5, 9, 0.9)]
