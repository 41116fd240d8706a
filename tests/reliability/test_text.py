"""What reads texts takes time in proportion to them, however they were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import pytest

from app.answer.citations import CitationReader, clause_start
from app.answer.extract import prose, quoted, statements
from app.answer.listwise import order
from app.answer.prompt import cut, fitting, latest, without_control
from app.ingest import chunking
from app.ingest.readers.markdown import by_headings
from app.llm import Turn, estimate
from app.retrieval.fusion import fuse
from app.retrieval.store import Candidate
from app.retrieval.stores.sqlite import match_any
from app.retrieval.stores.template import insert
from app.text.sentences import sentences
from app.text.windows import cuts
from tests.reliability.growth import FACTOR, growth

SHAPES = {
    "spaces": " ",
    "lines": "\n",
    "indented lines": "  \n",
    "a word": "a",
    "words": "word ",
    "sentences": "a. ",
    "marks": ".",
    "markers": "x [1] ",
    "clauses": "x. y [1] z [2]\n",
    "open markers": "[1, ",
    "invented markers": "x [9] ",
    "backticks": "`",
    "code": "`a` ",
    "open code": "`" + "a" * 205,
    "fences": "```\n",
    "headings": "# a #\n",
    "table": "| a | b |\n",
    "rules": "---\n",
    "links": "![a](b) ",
    "open links": "![a](",
    "control tokens": "<|a|>",
    "braces": "{a} ",
}


def read_whole(text: str) -> str:
    reader = CitationReader(3)
    return reader.feed(text) + reader.end()


def read_in_pieces(text: str) -> str:
    """Of one, two and three characters."""
    reader, offset = CitationReader(3), 0
    for size in cycle((1, 2, 3)):
        reader.feed(text[offset : offset + size])
        offset += size
        if offset >= len(text):
            return reader.end()
    return ""


def characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


HALVING = 12.0  # what is halved until it fits is looked at twice more in four times the length
CHUNKING = chunking.Chunking(characters, 400, 80)
FUNCTIONS: dict[str, Callable[[str], object]] = {
    "Reader, whole": read_whole,
    "Reader, in pieces": read_in_pieces,
    "clause_start": clause_start,
    "prose": prose,
    "quoted": quoted,
    "statements": lambda text: statements([text]),
    "sentences": lambda text: list(sentences(text)),
    "sentences of prose": lambda text: list(
        sentences(text, newline_ends=False, max_characters=None)
    ),
    "cuts": lambda text: cuts(text, 600),
    "chunking.cut": lambda text: list(chunking.cut(text, CHUNKING)),
    "by_headings": by_headings,
    "prompt.cut": lambda text: cut(text, 10**9),
    "fitting": lambda text: fitting([text], 10**9),
    "without_control": without_control,
    "order": lambda text: order(text, 3),
    "fuse": lambda text: fuse([[Candidate("a", text)], [Candidate("b", text)]], 5),
    "match_any": match_any,
    "insert": lambda text: insert(text, {"a": "b"}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_over_text_takes_no_more_than_linear_time(name: str) -> None:
    factor = HALVING if name == "chunking.cut" else FACTOR
    slow = {
        shape: grown
        for shape, unit in SHAPES.items()
        if (grown := growth(FUNCTIONS[name], repeated(unit), 6_000)) > factor
    }
    assert slow == {}


def repeated(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit)) + "x"


def test_a_long_conversation_takes_no_more_than_linear_time() -> None:
    def turns(count: int) -> list[Turn]:
        return [Turn("user", "x" * 1000)] * count

    assert growth(lambda conversation: latest(conversation, 10**9), turns, 1_000) <= FACTOR


def cut_by_prefixes(text: str) -> list[int]:
    return [estimate(text[:stop]) for _, stop in sentences(text)]


def joined_one_by_one(text: str) -> str:
    whole = ""
    for line in text.splitlines():
        whole = f"{whole}\n\n{line}"
    return whole


@pytest.mark.parametrize(
    ("mutant", "unit", "size"),
    [
        (cut_by_prefixes, "a. ", 80_000),
        (joined_one_by_one, "a\n", 50_000),
    ],
)
def test_a_function_that_is_quadratic_is_caught(
    mutant: Callable[[str], Any], unit: str, size: int
) -> None:
    assert growth(mutant, repeated(unit), size) > FACTOR
