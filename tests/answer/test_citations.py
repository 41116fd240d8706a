from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from app.answer.citations import CitationReader


def read(*pieces: str, sources: int = 3) -> CitationReader:
    reader = CitationReader(sources)
    shown = "".join(reader.feed(piece) for piece in pieces) + reader.end()
    assert shown == reader.text
    return reader


def spans(reader: CitationReader) -> list[tuple[str, tuple[int, ...]]]:
    return [(reader.text[each.start : each.end], tuple(each.sources)) for each in reader.citations]


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Four weeks [1].", [("Four weeks", (1,))]),
        ("Four weeks. [1]", [("Four weeks.", (1,))]),
        ("Hello. Four weeks [1].", [("Four weeks", (1,))]),
        ("Four weeks [1][3].", [("Four weeks", (1, 3))]),
        ("Four weeks [1, 3].", [("Four weeks", (1, 3))]),
        ("Books four [1], films one [2].", [("Books four", (1,)), ("films one", (2,))]),
        ("It takes 2.5 weeks [1].", [("It takes 2.5 weeks", (1,))]),
        ("四週間です【2】。", [("四週間です", (2,))]),
        ("[1]", []),
        ("In [2024] it was (see [a]).", []),
    ],
)
def test_each_marker_supports_the_clause_before_it(text: str, cited: list[object]) -> None:
    assert spans(read(text)) == cited


def test_an_invented_marker_is_removed_and_reported() -> None:
    reader = read("Four weeks [9]. Or five [2, 7].")
    assert reader.text == "Four weeks. Or five [2]."
    assert reader.invented == [9, 7]
    assert spans(reader) == [("Or five", (2,))]


@hypothesis.given(
    st.lists(st.sampled_from(["[", "]", "1", "9", ",", " ", "a", ".", "\n", "【", "】", "`"]))
)
def test_however_the_words_are_cut_the_answer_is_the_same(letters: list[str]) -> None:
    whole, pieces = read("".join(letters)), read(*letters)
    assert (whole.text, whole.invented) == (pieces.text, pieces.invented)
    assert whole.citations == pieces.citations


@pytest.mark.parametrize(
    "code",
    [
        "Use `argv[0]` or ``a[9]`b``.",
        "```py\nx = a[1]\n`y[2]`\n```",
        "````\n```\na[1]\n```\n````",
        "```\nnever closed: a[1]",
    ],
)
def test_code_holds_no_markers(code: str) -> None:
    for reader in (read(code), read(*code)):
        assert (reader.text, reader.invented, reader.citations) == (code, [], [])


def test_around_code_there_are_markers_as_ever() -> None:
    reader = read(*"Take `argv[1]` [1], not `argv[0]` [9].\n```\na[0]\n```\nThe ` key, too [2].")
    assert reader.text == (
        "Take `argv[1]` [1], not `argv[0]`.\n```\na[0]\n```\nThe ` key, too [2]."
    )
    assert spans(reader) == [("Take `argv[1]`", (1,)), ("The ` key, too", (2,))]
    assert reader.invented == [9]


def test_code_is_shown_when_its_line_is_and_blocks_of_it_line_by_line() -> None:
    reader = CitationReader(3)
    assert reader.feed("Use `a[1") == "Use"
    assert reader.feed("]` or") == " `a[1]` or"
    assert reader.feed("\n```py\nx = 1;") == "\n```py\nx = 1;"


def test_a_backtick_that_nothing_closes_is_not_waited_for_over_a_whole_paragraph() -> None:
    reader = CitationReader(3)
    assert reader.feed("The ` key ends " + "a word " * 40).endswith("a word")
    assert reader.feed("[1]") == " [1]"


@hypothesis.given(
    st.lists(st.sampled_from(["`", "``", "[1]", "[9]", "  ", "\n", "a", "1, " * 30, "["]))
)
def test_however_long_markers_and_gaps_are_pieces_make_no_difference(letters: list[str]) -> None:
    text = "".join(letters)
    for size in (1, 3, 50):
        pieces = read(*(text[start : start + size] for start in range(0, len(text), size)))
        whole = read(text)
        assert (whole.text, whole.citations) == (pieces.text, pieces.citations)


def test_a_marker_may_name_as_many_passages_as_a_prompt_may_hold_and_no_more() -> None:
    numbers = ", ".join(str(number) for number in range(1, 41))
    assert spans(read(*f"All [{numbers}].", sources=40)) == [("All", tuple(range(1, 41)))]
    endless = f"All [{'1, ' * 100}1]."
    assert read(endless).text == read(*endless).text == endless


def test_the_space_before_an_invented_marker_goes_with_it_however_long() -> None:
    text = "Four weeks" + " " * 5000 + "[9]."
    assert read(text).text == read(*text).text == "Four weeks."


def test_words_are_held_back_only_while_they_may_be_a_marker() -> None:
    reader = CitationReader(3)
    assert reader.feed("Four weeks [1") == "Four weeks"
    assert reader.feed("] or") == " [1] or"
    assert reader.feed(" [see") == " [see"
