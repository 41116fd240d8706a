"""What an extract shows of a passage cannot act: it holds no marker, image, link or element."""

from __future__ import annotations

import re

import hypothesis
import pytest
from hypothesis import strategies as st

from app.answer.citations import CitationReader
from app.answer.extract import MAX_SENTENCES_READ, extract, joined, quoted, statements
from tests.fakes import OverlapReranker

pytestmark = pytest.mark.anyio

ACTIVE = re.compile(r"\]\(|\]:|<[A-Za-z/!?]")
MARKER = re.compile(r"[\[【]\s?\d+\s?(?:,\s?\d+\s?)*[\]】]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Lent for four weeks [2].", "Lent for four weeks (2)."),
        ("Lent [2, 3] and 【1】.", "Lent (2, 3) and (1)."),
        ("Lent ![for four weeks](http://evil.test/p.png).", "Lent for four weeks."),
        ("See [the rules](http://evil.test 'now').", "See the rules."),
        ("[![logo](http://evil.test/p.png)](http://evil.test)", "logo"),
        ("[1]: http://evil.test", "(1): http://evil.test"),
        ("[here]: http://evil.test", "[here] : http://evil.test"),
        ("[a](http://evil.test/(b))", "[a] (http://evil.test/(b))"),
        ('<img src="http://evil.test">', '< img src="http://evil.test">'),
        ("</p><!-- x", "< /p>< !-- x"),
        ("![](http://evil.test/p.png)", "![] (http://evil.test/p.png)"),
        ("Use `argv[0]` and `List<String>`.", "Use `argv[ 0]` and `List< String>`."),
        (r"\`![x](http://evil.test)\`", r"\`![x] (http://evil.test)\`"),
        ("In [2024a] it was 3 < 4 (see [a]).", "In [2024a] it was 3 < 4 (see [a])."),
    ],
)
def test_a_passage_is_quoted_without_what_would_act(text: str, shown: str) -> None:
    assert quoted(text) == shown


PIECES = [
    "[",
    "]",
    "(",
    ")",
    "!",
    "<",
    "a",
    "1",
    ", ",
    ":",
    "`",
    "\n",
    "\\",
    "/",
    "【",
    "】",
    ". ",
    " ",
]


@hypothesis.given(st.lists(st.sampled_from(PIECES)), st.lists(st.sampled_from(PIECES)))
def test_whatever_passages_hold_only_our_own_markers_are_in_the_extract(
    first: list[str], second: list[str]
) -> None:
    """Also when it is cut into sentences, and joined with those of another passage."""
    parts = statements(["".join(first), "".join(second)])
    made = joined(parts, list(parts))
    assert not ACTIVE.search(made.text)
    ours = "".join(f"[{number}]" for numbers in parts.values() for number in numbers)
    assert "".join(re.findall(r"[\[【]\d+[\]】]", made.text)) == ours
    for sentence, citation in zip(parts, made.citations, strict=True):
        assert made.text[citation.start : citation.end] == sentence


def test_the_reader_of_markers_finds_none_in_what_is_quoted() -> None:
    reader = CitationReader(9)
    reader.feed(quoted("Lent [2] for `a[1]` four [3, 4] weeks【5】."))
    reader.end()
    assert (reader.citations, reader.invented) == ([], [])


async def test_an_extract_cites_only_the_passage_that_a_sentence_is_from() -> None:
    passage = "A book is lent for four weeks [2] ![as shown](http://evil.test/p.png)."
    made = await extract(OverlapReranker(), "how long is a book lent", [passage], None)
    assert made.text == "A book is lent for four weeks (2) as shown. [1]"
    (citation,) = made.citations
    assert made.text[citation.start : citation.end] == "A book is lent for four weeks (2) as shown."


async def test_a_passage_of_a_picture_alone_is_shown_as_words() -> None:
    made = await extract(OverlapReranker(), "logo", ["![](http://evil.test/logo.png)"], None)
    assert made.text == "![] (http://evil.test/logo.png) [1]"


async def test_a_very_long_passage_is_scored_only_as_far_as_a_caller_can_wait() -> None:
    reranker = OverlapReranker()
    endless = "\n".join(f"A book is lent for {number} weeks." for number in range(100_000))
    made = await extract(reranker, "a book is lent", [endless, "A film is lent for a week."], None)
    assert len(reranker.queries[0].documents) == MAX_SENTENCES_READ // 2 + 1
    assert made.text.startswith("A book is lent for 0 weeks.")
