"""Causal rerankers: the pair goes through a chat template, with the instruction as its system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tokenizers import Tokenizer

from app.engines import Encoded, Ids, Pair
from app.engines.clipping import Words, certain, clip, clipped
from app.engines.encoders import MIN_ROOM, allowed, keep
from app.engines.prompts import PromptReader, Render
from app.errors import TooLong
from app.text import Side

PROBE_TEXTS = ("0", "1 2 3 4")
# Of a clipped document so much is read beside the template, at both ends.
END_CHARS = 200


@dataclass(frozen=True, slots=True)
class Rendered:
    """A pair as the template has it. What surrounds a document is the same for any document."""

    ids: Ids
    before: int
    after: int

    @property
    def document(self) -> int:
        return max(0, len(self.ids) - self.before - self.after)

    @property
    def around(self) -> int:
        return len(self.ids) - self.document

    def keeping(self, count: int, cut: Side) -> Ids:
        """The pair with so many of the document's tokens."""
        if count >= self.document:
            return self.ids
        end = len(self.ids) - self.after
        kept = keep(self.ids[self.before : end], count, cut)
        return np.concatenate([self.ids[: self.before], kept, self.ids[end:]])


class ChatEncoder:
    """Renders query and document together, since text runs into the template."""

    repeats_query = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        render: Render,
        max_tokens: int,
        takes_instruction: bool,
    ) -> None:
        self._reader = PromptReader(tokenizer, render)
        self.max_tokens = max_tokens
        self.takes_instruction = takes_instruction

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        """Each document as if it were alone: a query is shortened only for those that need it."""
        need = min(self.max_tokens, document_tokens or self.max_tokens) + 1 if clip else 0
        read = partial(self._rendered, instruction=instruction, cut=cut, need=need)
        wholes = read(query, documents)
        fitting = dict(enumerate(wholes))
        long = [
            index
            for index, pair in fitting.items()
            if pair.around + allowed(pair.document, document_tokens) > self.max_tokens
        ]
        if long:
            texts = [documents[index] for index in long]
            again = read(self._shorten(query, instruction), texts)
            fitting.update(zip(long, again, strict=True))
        return [
            self._cut(fitting[index], len(whole.ids), cut, document_tokens)
            for index, whole in enumerate(wholes)
        ]

    def _cut(self, pair: Rendered, whole: int, cut: Side, document_tokens: int) -> Encoded:
        kept = min(allowed(pair.document, document_tokens), self.max_tokens - pair.around)
        ids = pair.keeping(kept, cut)
        return Encoded(Pair(ids, min(pair.before, len(ids))), whole, pair.document, kept)

    def bare(self, instruction: str | None) -> int:
        """Tokens of the template that holds nothing but the instruction."""
        (ids,) = self._reader.read("", [""], instruction)
        return len(ids)

    def _rendered(
        self, query: str, texts: Sequence[str], *, instruction: str | None, cut: Side, need: int
    ) -> list[Rendered]:
        """At least `need` tokens of each document; 0: all."""
        short, long = self._reader.read(query, PROBE_TEXTS, instruction)
        before, after = shared(short, long), shared(short[::-1], long[::-1])

        def read(some: Sequence[str]) -> list[Rendered]:
            pairs = self._reader.read(query, some, instruction)
            return [Rendered(ids, before, after) for ids in pairs]

        def read_words(some: Sequence[str]) -> list[Words]:
            pairs = self._reader.read_words(query, some, instruction)
            ends = ((ids, words, len(ids) - after) for ids, words in pairs)
            return [(ids[before:end], words[before:end]) for ids, words, end in ends]

        def finish(text: str, document: Ids) -> Rendered | None:
            """With both ends of the text as they run into the template."""
            ends = clip(text, END_CHARS, "right"), clip(text, END_CHARS, "left")
            sides: tuple[Side, Side] = ("right", "left")
            words = zip(read_words(ends), sides, strict=True)
            if not all(len(certain(end, side)) for end, side in words):
                return None
            start, end = self._reader.read(query, ends, instruction)
            ids = np.concatenate([start[:before], document, end[len(end) - after :]])
            return Rendered(ids, before, after)

        return clipped(texts, need, cut, read, read_words, finish) if need else read(texts)

    def _shorten(self, query: str, instruction: str | None) -> str:
        """Where something has to be cut, a query may take half of the room at most."""
        bare = self.bare(instruction)
        if bare + MIN_ROOM > self.max_tokens:
            limit = self.max_tokens - MIN_ROOM
            raise TooLong(
                f"instruction takes {bare} tokens in the model's template; at most {limit} "
                "leave room for a query and a document",
                field="instruction",
                limit=limit,
            )
        return self._reader.beginning(query, (self.max_tokens - bare) // 2)


def shared(first: Ids, second: Ids) -> int:
    """The length of the beginning that two sequences have in common."""
    width = min(len(first), len(second))
    differ = np.flatnonzero(first[:width] != second[:width])
    return int(differ[0]) if len(differ) else width
