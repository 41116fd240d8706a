"""The worst bodies within the limits: each is as large, or as many, as the service admits."""

from __future__ import annotations

from collections.abc import Iterator

from app.api.dialects.dialect import Dialect

DOCUMENTS = 1000
LONG = 200_000  # characters a document
VALUES = 50_000
BYTES = 8 * 2**20
FIELDS = {"tei": "texts", "nim": "passages", "mixedbread": "input"}
# What asks for every document to be sent back, in all dialects that can.
ECHO = b',"return_documents":true,"return_text":true,"return_input":true'
OBJECTS = frozenset({"native", "jina", "shared", "cohere_v1", "nim", "xinference", "mixedbread"})

# Each holds a text to be repeated, as it stands in JSON.
TEXTS = {
    "ascii": b"abcd efg. ",
    "blanks": b" ",
    "newlines": b"\\n",
    "escapes": b"\\u00e9",
    "surrogates": b"\\ud83d\\ude00",
    "controls": b"\\u0001",
    "cjk": "図".encode(),
    "wide": b"abcdefgh" * 500 + "😀".encode(),
    "quotes": b'\\"',
    "commas": b",",
    "sentences": b"a. ",
}


def text(unit: bytes, size: int, mark: bytes = b"") -> bytes:
    return b'"' + mark + unit * ((size - len(mark)) // len(unit)) + b'"'


def texts(unit: bytes, count: int, size: int = BYTES) -> list[bytes]:
    """So many different texts that together take `size` bytes; blank ones are all alike."""
    each = min(size // count - 24, LONG)
    return [text(unit, each, b"" if unit == b" " else b"%d " % number) for number in range(count)]


def body(dialect: Dialect, documents: list[bytes], more: bytes = b"") -> bytes:
    """A request of this dialect for documents that are JSON already."""
    name = FIELDS.get(dialect.name, "documents").encode()
    query = b'{"text":"a question"}' if dialect.name == "nim" else b'"a question"'
    return b'{"query":%b,"%b":[%b]%b%b}' % (query, name, b",".join(documents), echo(dialect), more)


def echo(dialect: Dialect) -> bytes:
    if dialect.name == "cohere_v2":
        return b',"relevant_spans":{"mode":"enabled"}'
    return ECHO


def objects(documents: list[bytes]) -> list[bytes]:
    return [b'{"text":%b}' % document for document in documents]


def fields(count: int, start: int = 0) -> bytes:
    return b",".join(b'"key%06x":1' % number for number in range(start, start + count))


def of_text(dialect: Dialect, kind: str, count: int) -> bytes:
    documents = texts(TEXTS[kind], count)
    return body(dialect, objects(documents) if dialect.name == "nim" else documents)


def structured(dialect: Dialect) -> Iterator[tuple[str, bytes]]:
    """Bodies of many values and few texts."""
    short = [b'{"text":"a"}' if dialect.name == "nim" else b'"a"']
    free = VALUES - 100
    yield "many keys", body(dialect, short, b"," + fields(free))
    yield "ignored numbers", body(dialect, short, b',"x":[%b]' % b",".join([b"1"] * free))
    yield "ignored lists", body(dialect, short, b',"x":[%b]' % b",".join([b"[]"] * (free // 2)))
    yield "long numbers", body(dialect, short, b',"x":[%b]' % b",".join([b"9" * 4000] * 1900))
    yield "deep", body(dialect, short, b',"x":%b' % (b'{"a":' * 190 + b"1" + b"}" * 190))
    if dialect.name in OBJECTS:
        each = free // DOCUMENTS - 2
        many = [b'{"text":"%d",%b}' % (n, fields(each, n * each)) for n in range(DOCUMENTS)]
        yield "fields", body(dialect, many)
        yield "fields of one", body(dialect, [b'{"text":"a",%b}' % fields(free)])
    if dialect.name == "cohere_v1":
        names = b",".join(b'"key%06x"' % n for n in range(100))
        many = [b"{%b}" % fields(free // DOCUMENTS - 2) for _ in range(DOCUMENTS)]
        yield "rank_fields", body(dialect, many, b',"rank_fields":[%b]' % names)
    if dialect.name == "vllm":
        part = b'{"type":"text","text":"a"}'
        each = (free // DOCUMENTS - 3) // 3
        content = b'{"content":[%b]}' % b",".join([part] * each)
        yield "parts", body(dialect, [content] * DOCUMENTS)


def wrong(dialect: Dialect) -> Iterator[tuple[str, bytes]]:
    """As many values as may be, each of them at fault."""
    yield "wrong documents", body(dialect, [b"1"] * DOCUMENTS)
    if dialect.name == "vllm":
        yield "wrong parts", body(dialect, [b'{"content":[%b]}' % b",".join([b"1"] * 900)] * 50)
        yield "too many parts", body(dialect, [b'{"content":[%b]}' % b",".join([b"1"] * 49_000)])
    if dialect.name == "cohere_v1":
        names = b",".join([b"1"] * 49_000)
        yield "wrong names", body(dialect, [b'"a"'], b',"rank_fields":[%b]' % names)
