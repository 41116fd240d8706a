"""What is right: lengths and scores of every pair, as plain functions of its texts."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np

from app.engines import Encoded, Pair
from app.rerank.query import Query
from app.rerank.windows import MIN_ROOM_TOKENS
from app.text import Side

LONG = "§"  # starts each word of a long document: its score is that of its best word


class Context(NamedTuple):
    """All that decides a pair's score, except for the document's text."""

    query: str
    instruction: str | None
    cut: Side
    document_tokens: int


def context_of(query: Query) -> Context:
    return Context(query.text, query.instruction, query.cut, query.document_tokens)


def logit_of(mark: int) -> float:
    """From -8 to 8, exact, and another for each mark."""
    return mark / 2**27 - 8.0


class Reference:
    """The oracle's arithmetic, and the simulated tokenizer's; each result is kept."""

    def __init__(self, max_tokens: int, chars_per_token: int) -> None:
        self.max_tokens = max_tokens
        self.chars_per_token = chars_per_token
        self._encoded: dict[Context, dict[str, Encoded]] = {}
        self._best_words: dict[tuple[Context, str], int] = {}

    def table(self, context: Context) -> dict[str, Encoded]:
        return self._encoded.setdefault(context, {})

    def encode(self, context: Context, text: str) -> Encoded:
        table = self.table(context)
        encoded = table.get(text)
        if encoded is None:
            encoded = table[text] = self._encode(context, text)
        return encoded

    def _encode(self, context: Context, text: str) -> Encoded:
        size = self.chars_per_token
        long = text.lstrip().startswith(LONG)
        around = len(context.query) // size
        whole = len(text.split()) if long else (len(context.query) + len(text)) // size + 1 - around
        kept = min(whole, context.document_tokens or whole, self.max_tokens - around)
        mark = self._cut_mark(context, text, kept) if long else own_mark(context, text)
        ids = np.empty(around + kept, dtype=np.int32)
        ids[0] = mark
        return Encoded(Pair(ids, 1), around + whole, whole, kept)

    def _cut_mark(self, context: Context, text: str, kept: int) -> int:
        words = text.split()
        return best_word(context, words[:kept] if context.cut == "right" else words[-kept:])

    def mark(self, query: Query, encoded: Encoded, text: str) -> int:
        if self.in_windows(query, encoded):
            return self.windowed_mark(context_of(query), text)
        return int(encoded.pair.ids[0])

    def windowed_mark(self, context: Context, text: str) -> int:
        """Of a document read in windows: windows together hold every word."""
        key = (context, text)
        mark = self._best_words.get(key)
        if mark is None:
            mark = self._best_words[key] = best_word(context, text.split())
        return mark

    def in_windows(self, query: Query, encoded: Encoded) -> bool:
        return bool(query.windows) and MIN_ROOM_TOKENS <= encoded.kept < encoded.document


def own_mark(context: Context, text: str) -> int:
    return crc32(text.encode(), salt(context)) >> 1


def best_word(context: Context, words: list[str]) -> int:
    start = salt(context)
    return max([crc32(word, start) for word in map(str.encode, words)]) >> 1


@lru_cache(maxsize=1024)
def salt(context: Context) -> int:
    return crc32(repr(tuple(context)).encode())
