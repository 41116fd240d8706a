from __future__ import annotations

import pytest

from app.answer.extractive import extract
from tests.fakes import OverlapReranker

pytestmark = pytest.mark.anyio


async def test_the_best_sentences_are_cited_in_the_order_of_their_passages() -> None:
    made = await extract(
        OverlapReranker(),
        "how long is a book lent",
        ["Opening hours\n\nThe library opens at nine.", "A book is lent for four weeks. Be quiet!"],
        None,
    )
    assert made.text == "A book is lent for four weeks. [2]"
    (citation,) = made.citations
    assert made.text[citation.start : citation.end] == "A book is lent for four weeks."
    assert list(citation.sources) == [2]


async def test_a_sentence_of_two_passages_is_said_once_with_both() -> None:
    same = "A book is lent for four weeks."
    made = await extract(OverlapReranker(), "how long is a book lent", [same, f"{same} So."], None)
    assert made.text == f"{same} [1][2]"


async def test_passages_without_a_sentence_are_used_as_they_are() -> None:
    made = await extract(OverlapReranker(), "red", ["red"], None)
    assert made.text == "red [1]"
