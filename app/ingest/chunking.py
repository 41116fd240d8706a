"""Documents to chunks that fit the reranker: borders at headings, paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid5

from app.ingest.document import FileDocument, Section, Unreadable
from app.retrieval.store import Candidate
from app.retrieval.writer import CHUNK_NAMESPACE
from app.text.sentences import sentences, trimmed

# Gives the tokens of each text.
Measure = Callable[[Sequence[str]], Sequence[int]]
Bounds = tuple[int, int]

# A file of 64 MB of prose has fewer.
MAX_CHUNKS = 100_000
# A model may count a long word, or characters that it does not know, as no token at all.
MAX_CHARACTERS_PER_TOKEN = 16
SENTENCES_MEASURED_AT_ONCE = 4_096

SPACE = re.compile(r"\s")


class Piece(NamedTuple):
    start: int
    end: int
    tokens: int


class Chunking(NamedTuple):
    """A chunk takes at most `tokens`, of which it repeats `overlap` from the one before."""

    measure: Measure
    tokens: int
    overlap: int
    max_chunks: int = MAX_CHUNKS


def file_id(source: str) -> str:
    return str(uuid5(CHUNK_NAMESPACE, source))


def chunks_of(
    source: str, documents: Sequence[FileDocument], chunking: Chunking
) -> list[Candidate]:
    """Each once. The id is made from text and metadata, so the same content has the same id."""
    chunks: dict[str, Candidate] = {}
    for document in documents:
        for section in document.sections:
            metadata = metadata_of(source, document, section)
            identity = repr(sorted(metadata.items()))
            for text in titled(section, chunking):
                name = str(uuid5(CHUNK_NAMESPACE, f"{identity}\n{text}"))
                chunks[name] = Candidate(name, text, metadata)
                if len(chunks) > chunking.max_chunks:
                    reason = f"makes more than {chunking.max_chunks} chunks (--max-file-chunks)"
                    raise Unreadable(Path(source), reason)
    return list(chunks.values())


def metadata_of(source: str, document: FileDocument, section: Section) -> dict[str, Any]:
    parent = file_id(source)
    metadata = {
        **document.metadata,
        "source": source,
        "section": section.title,
        "doc_id": file_id(f"{source}\n{document.name}") if document.name else parent,
        "parent_doc_id": parent,
    }
    if document.name:
        metadata["row"] = document.name
    return metadata


def titled(section: Section, chunking: Chunking) -> Iterator[str]:
    """Each chunk under its title, whose words are often those of the question."""
    (title_tokens,) = chunking.measure([section.title])
    if not section.title or title_tokens > chunking.tokens // 2:
        yield from cut(section.text, chunking)
        return
    room = chunking._replace(tokens=chunking.tokens - title_tokens)
    for text in cut(section.text, room):
        yield f"{section.title}\n\n{text}"


def cut(text: str, chunking: Chunking) -> Iterator[str]:
    """As many sentences as fit; the next chunk begins with the last few of them."""
    pieces: list[Piece] = []
    tokens = 0
    for piece in measured(text, chunking):
        if pieces and tokens + piece.tokens > chunking.tokens:
            yield text[pieces[0].start : pieces[-1].end]
            pieces = repeated(pieces, chunking, piece.tokens)
            tokens = sum(piece.tokens for piece in pieces)
        pieces.append(piece)
        tokens += piece.tokens
    if pieces:
        yield text[pieces[0].start : pieces[-1].end]


def repeated(pieces: list[Piece], chunking: Chunking, next_tokens: int) -> list[Piece]:
    """The overlap: never all of the last chunk, and the next piece fits with it."""
    room = min(chunking.overlap, chunking.tokens - next_tokens)
    start = len(pieces)
    while start > 1 and room >= pieces[start - 1].tokens:
        start -= 1
        room -= pieces[start].tokens
    return pieces[start:]


def measured(text: str, chunking: Chunking) -> Iterator[Piece]:
    """Sentences with their tokens; one that fits no chunk is cut between words.

    A few at a time, so that a file of tiny sentences does not take gigabytes.
    """
    longest = chunking.tokens * MAX_CHARACTERS_PER_TOKEN
    split = sentences(text, newline_ends=False, max_characters=None)
    bounds = (part for start, end in split for part in parts(text, start, end, longest))
    while batch := list(islice(bounds, SENTENCES_MEASURED_AT_ONCE)):
        yield from sorted(fitting(text, batch, chunking))


def fitting(text: str, waiting: list[Bounds], chunking: Chunking) -> Iterator[Piece]:
    while waiting:
        counts = chunking.measure([text[start:end] for start, end in waiting])
        longer: list[Bounds] = []
        for (start, end), count in zip(waiting, counts, strict=True):
            tokens = max(count, -(-(end - start) // MAX_CHARACTERS_PER_TOKEN))
            if tokens <= chunking.tokens or end - start <= 1:
                yield Piece(start, end, tokens)
            else:
                longer += halves(text, start, end)
        waiting = longer


def parts(text: str, start: int, end: int, longest: int) -> Iterator[Bounds]:
    """A part longer than any chunk is cut before it is measured: measuring reads all of it."""
    while end - start > longest:
        spaces = [match.start() for match in SPACE.finditer(text, start + 1, start + longest)]
        border = spaces[-1] if spaces else start + longest
        yield from trimmed(text, start, border)
        start = border
    yield from trimmed(text, start, end)


def halves(text: str, start: int, end: int) -> Iterator[Bounds]:
    """Cut at the space nearest to the middle, or in the middle if there is none."""
    middle = (start + end) // 2
    spaces = (match.start() for match in SPACE.finditer(text, start, end))
    border = min(spaces, key=lambda position: abs(position - middle), default=middle)
    yield from trimmed(text, start, border)
    yield from trimmed(text, border, end)
