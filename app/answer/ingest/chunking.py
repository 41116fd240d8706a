"""Documents to chunks that fit the reranker: borders at headings, paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID, uuid5

from app.answer.candidate import Candidate
from app.answer.ingest.document import Document, Section

Measure = Callable[[Sequence[str]], Sequence[int]]  # tokens of each text

OURS = UUID("7b1e62c0-5c0f-4d43-9b0e-6f2f3d2c9a11")
BORDER = re.compile(
    r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+[.)]|```))"  # noqa: RUF001
)
SPACE = re.compile(r"\s")


class Piece(NamedTuple):
    start: int
    end: int
    tokens: int


class Chunking(NamedTuple):
    measure: Measure
    tokens: int  # a chunk may take
    overlap: int  # of them that it repeats from the one before


def file_id(source: str) -> str:
    return str(uuid5(OURS, source))


def chunks_of(source: str, documents: Sequence[Document], chunking: Chunking) -> list[Candidate]:
    """Each once. Its id is made from all that it says, so the same content has the same id."""
    found: dict[str, Candidate] = {}
    parent = file_id(source)
    for document in documents:
        own = file_id(f"{source}\n{document.name}") if document.name else parent
        for section in document.sections:
            facts = {
                **document.metadata,
                "source": source,
                "section": section.title,
                "doc_id": own,
                "parent_doc_id": parent,
            }
            if document.name:
                facts["row"] = document.name
            said = repr(sorted(facts.items()))
            for text in titled(section, chunking):
                name = str(uuid5(OURS, f"{said}\n{text}"))
                found[name] = Candidate(name, text, facts)
    return list(found.values())


def titled(section: Section, chunking: Chunking) -> Iterator[str]:
    """Each chunk under its title, whose words are often what a question asks for."""
    (above,) = chunking.measure([section.title])
    if not section.title or above > chunking.tokens // 2:
        yield from cut(section.text, chunking)
        return
    room = chunking._replace(tokens=chunking.tokens - above)
    for text in cut(section.text, room):
        yield f"{section.title}\n\n{text}"


def cut(text: str, chunking: Chunking) -> Iterator[str]:
    """As many sentences as fit; the next chunk begins with the last few of them."""
    pieces = measured(text, chunking)
    first, taken = 0, 0
    for place, piece in enumerate(pieces):
        if taken + piece.tokens > chunking.tokens and place > first:
            yield text[pieces[first].start : pieces[place - 1].end]
            first = repeated(pieces, first, place, chunking, piece.tokens)
            taken = sum(one.tokens for one in pieces[first:place])
        taken += piece.tokens
    if pieces:
        yield text[pieces[first].start : pieces[-1].end]


def repeated(
    pieces: Sequence[Piece], first: int, place: int, chunking: Chunking, coming: int
) -> int:
    """Where the overlap begins: never all of the last chunk, and the next piece fits with it."""
    room = min(chunking.overlap, chunking.tokens - coming)
    start = place
    while start - 1 > first and room >= pieces[start - 1].tokens:
        start -= 1
        room -= pieces[start].tokens
    return start


def measured(text: str, chunking: Chunking) -> list[Piece]:
    """Sentences with their tokens; one that fits no chunk is cut between words."""
    waiting = list(sentences(text))
    done: list[Piece] = []
    while waiting:
        counts = chunking.measure([text[start:end] for start, end in waiting])
        longer: list[tuple[int, int]] = []
        for (start, end), tokens in zip(waiting, counts, strict=True):
            if tokens <= chunking.tokens or end - start <= 1:
                done.append(Piece(start, end, tokens))
            else:
                longer += halves(text, start, end)
        waiting = longer
    return sorted(done)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    edges = [0, *(match.end() for match in BORDER.finditer(text)), len(text)]
    for start, end in pairwise(edges):
        yield from trimmed(text, start, end)


def trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    part = text[start:end]
    if part.strip():
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def halves(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Parted at the space nearest to the middle, or there if there is none."""
    middle = (start + end) // 2
    spaces = (match.start() for match in SPACE.finditer(text, start, end))
    border = min(spaces, key=lambda place: abs(place - middle), default=middle)
    yield from trimmed(text, start, border)
    yield from trimmed(text, border, end)
