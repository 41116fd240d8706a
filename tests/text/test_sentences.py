from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.text.sentences import LINES, MAX_CHARACTERS, sentences

TEXT = "It opens at nine.  Books are lent; ask!\n\n図書館です。はい。 The end"


def parts(text: str, *, newline_ends: bool = True) -> list[str]:
    return [text[start:end] for start, end in sentences(text, newline_ends=newline_ends)]


@pytest.mark.parametrize("newline_ends", [True, False])
def test_sentences_are_bounded_by_code_point_without_the_space_around_them(
    newline_ends: bool,
) -> None:
    assert parts(TEXT, newline_ends=newline_ends) == [
        "It opens at nine.",
        "Books are lent; ask!",
        "図書館です。",
        "はい。",
        "The end",
    ]


@given(st.text(st.sampled_from("ab. !\n日。-"), max_size=80), st.booleans())
def test_sentences_hold_every_letter_once(text: str, newline_ends: bool) -> None:
    split = parts(text, newline_ends=newline_ends)
    assert "".join("".join(split).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in split)


def test_blank_lines_are_one_gap_however_many() -> None:
    assert len(LINES.findall("One\n \n\t\n\nTwo" + "." + "\n " * 99 + "Three")) == 2


def test_a_line_is_a_sentence_only_where_newlines_end_one() -> None:
    text = "A title\nand a line that\nis wrapped. The end"
    assert parts(text) == ["A title", "and a line that", "is wrapped.", "The end"]
    assert parts(text, newline_ends=False) == ["A title\nand a line that\nis wrapped.", "The end"]


@pytest.mark.parametrize("start", ["- item", "* item", "| row", "> quote", "1. item", "```", "\nb"])
def test_in_prose_a_paragraph_and_the_start_of_a_block_end_a_sentence(start: str) -> None:
    assert parts(f"before\n{start}", newline_ends=False)[:1] == ["before"]


def test_a_sentence_that_is_too_long_comes_in_windows_unless_none_is_too_long() -> None:
    text = "word " * 300
    assert len(parts(text)) > 1
    assert max(map(len, parts(text))) <= MAX_CHARACTERS
    assert list(sentences(text, max_characters=None)) == [(0, len(text) - 1)]
