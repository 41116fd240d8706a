"""Documents to chunks that fit the reranker: borders at headings, paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from uuid import uuid5

from app.ingest.document import Document, Section, Unreadable
from app.retrieval.store import Candidate
from app.retrieval.writer import CHUNK_NAMESPACE

Measure = Callable[[Sequence[str]], Sequence[int]]  # tokens of each text
Span = tuple[int, int]

MAX_CHUNKS = 100_000  # of a file: one of 64 MB of prose has fewer
CHARACTERS_PER_TOKEN = 16  # at most: a model may take a long word, or none it can see, as nothing
MEASURED_AT_ONCE = 4_096

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
    max_chunks: int = MAX_CHUNKS  # of a file


def file_id(source: str) -> str:
    return str(uuid5(CHUNK_NAMESPACE, source))


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
                name = str(uuid5(CHUNK_NAMESPACE, f"{said}\n{text}"))
                found[name] = Candidate(name, text, facts)
                if len(found) > chunking.max_chunks:
                    reason = f"makes more than {chunking.max_chunks} chunks (--max-file-chunks)"
                    raise Unreadable(Path(source), reason)
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
    held: list[Piece] = []
    taken = 0
    for piece in measured(text, chunking):
        if held and taken + piece.tokens > chunking.tokens:
            yield text[held[0].start : held[-1].end]
            held = repeated(held, chunking, piece.tokens)
            taken = sum(piece.tokens for piece in held)
        held.append(piece)
        taken += piece.tokens
    if held:
        yield text[held[0].start : held[-1].end]


def repeated(held: list[Piece], chunking: Chunking, coming: int) -> list[Piece]:
    """The overlap: never all of the last chunk, and the next piece fits with it."""
    room = min(chunking.overlap, chunking.tokens - coming)
    start = len(held)
    while start > 1 and room >= held[start - 1].tokens:
        start -= 1
        room -= held[start].tokens
    return held[start:]


def measured(text: str, chunking: Chunking) -> Iterator[Piece]:
    """Sentences with their tokens; one that fits no chunk is cut between words.

    A few at a time, so that a file of tiny sentences does not take gigabytes.
    """
    longest = chunking.tokens * CHARACTERS_PER_TOKEN
    spans = (part for start, end in sentences(text) for part in parts(text, start, end, longest))
    while some := list(islice(spans, MEASURED_AT_ONCE)):
        yield from sorted(fitting(text, some, chunking))


def fitting(text: str, waiting: list[Span], chunking: Chunking) -> Iterator[Piece]:
    while waiting:
        counts = chunking.measure([text[start:end] for start, end in waiting])
        longer: list[Span] = []
        for (start, end), count in zip(waiting, counts, strict=True):
            tokens = max(count, -(-(end - start) // CHARACTERS_PER_TOKEN))
            if tokens <= chunking.tokens or end - start <= 1:
                yield Piece(start, end, tokens)
            else:
                longer += halves(text, start, end)
        waiting = longer


def sentences(text: str) -> Iterator[Span]:
    start = 0
    for match in BORDER.finditer(text):
        yield from trimmed(text, start, match.end())
        start = match.end()
    yield from trimmed(text, start, len(text))


def parts(text: str, start: int, end: int, longest: int) -> Iterator[Span]:
    """What is longer than any chunk is cut before it is measured: each measure reads all of it."""
    while end - start > longest:
        spaces = [match.start() for match in SPACE.finditer(text, start + 1, start + longest)]
        border = spaces[-1] if spaces else start + longest
        yield from trimmed(text, start, border)
        start = border
    yield from trimmed(text, start, end)


def trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    part = text[start:end]
    if part.strip():
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def halves(text: str, start: int, end: int) -> Iterator[Span]:
    """Parted at the space nearest to the middle, or there if there is none."""
    middle = (start + end) // 2
    spaces = (match.start() for match in SPACE.finditer(text, start, end))
    border = min(spaces, key=lambda place: abs(place - middle), default=middle)
    yield from trimmed(text, start, border)
    yield from trimmed(text, border, end)
