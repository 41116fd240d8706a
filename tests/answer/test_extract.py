from __future__ import annotations

import pytest

from app.answer.extract import extract
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


async def test_a_sentence_of_two_passages_stands_once_with_both_markers() -> None:
    same = "A book is lent for four weeks."
    made = await extract(OverlapReranker(), "how long is a book lent", [same, f"{same} So."], None)
    assert made.text == f"{same} [1][2]"


async def test_passages_without_a_sentence_are_used_as_they_are() -> None:
    made = await extract(OverlapReranker(), "red", ["red"], None)
    assert made.text == "red [1]"


LENT = "A book is lent for four weeks."
LAYOUTS = {
    "a heading": "# How long is a book lent",
    "a deep heading": "###### How long is a book lent",
    "a row of a table": "| how long | is a book | lent |",
    "a row that holds sentences": "| How? | How long is. How long is a book lent. So it is. |",
    "the line under a table's head": "|---|:---:|",
    "a rule": "-" * 30,
    "a starred rule": "* * * * * * * * * * * * *",
    "code": "```sh\nhow long is a book lent.\n```",
    "code with other marks": "~~~\nhow long is a book lent.\n~~~",
    "code that is cut off": "```sh\nhow long is a book lent.",
}


@pytest.mark.parametrize("kind", LAYOUTS)
async def test_layout_is_not_cited_where_there_are_sentences(kind: str) -> None:
    layout = LAYOUTS[kind]
    for passage in (f"{LENT}\n\n{layout}", f"  {LENT}\n{layout}\n"):
        made = await extract(OverlapReranker(), "how long is a book lent", [passage], None)
        assert made.text == f"{LENT} [1]"


async def test_a_sentence_after_code_or_a_table_is_cited() -> None:
    for layout in (LAYOUTS["code"], LAYOUTS["code with other marks"], LAYOUTS["a row of a table"]):
        made = await extract(OverlapReranker(), "a book lent", [f"{layout}\n{LENT}"], None)
        assert made.text == f"{LENT} [1]"


async def test_a_passage_that_begins_within_code_is_read_until_the_next_block_of_code() -> None:
    passage = (
        f"ls\n```\n{LENT}\n```sh\nhow long is a book lent.\n```\nBananas are yellow, they say."
    )
    made = await extract(OverlapReranker(), "yellow bananas", [passage], None)
    assert made.text == "Bananas are yellow, they say. [1]"


@pytest.mark.parametrize("kind", ["a heading", "a row of a table", "code"])
async def test_a_passage_of_nothing_but_layout_is_used_as_it_is(kind: str) -> None:
    made = await extract(OverlapReranker(), "how long is a book lent", [LAYOUTS[kind]], None)
    assert "ow long" in made.text


async def test_what_only_looks_like_layout_is_cited() -> None:
    for text in ("#1 is that a book is lent.", "- A book is lent | or a film."):
        made = await extract(OverlapReranker(), "how long is a book lent", [text], None)
        assert made.text == f"{text} [1]"
