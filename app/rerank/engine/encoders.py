"""Text to token ids, exactly as `CrossEncoder.predict` would make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from app.rerank.engine import Encoded, Ids, Pair
from app.rerank.query import Side

PROBE = ("which river", "the Danube runs through ten lands")


def fit(query: int, document: int, room: int) -> tuple[int, int]:
    """How many tokens of each are kept: the longer of the two gives way first."""
    if query + document <= room:
        return query, document
    short = min(query, document, room // 2)
    if query <= document:
        return short, room - short
    return room - short, short


def ids_of(encoding: Encoding) -> Ids:
    return np.asarray(encoding.ids, dtype=np.int32)


def keep(ids: Ids, count: int, cut: Side) -> Ids:
    return ids[:count] if cut == "right" else ids[len(ids) - count :]


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around the query and the document, read off one encoded probe."""

    before: Ids
    between: Ids
    after: Ids
    second_type_from: int  # tokens of `between` that still count as the query's

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Template | None:
        """None where the tokenizer does more than put special tokens around the two."""
        encoding = tokenizer.encode(*PROBE)
        owners = encoding.sequence_ids
        if 0 not in owners or 1 not in owners:
            return None
        first, second = owners.index(0), owners.index(1)
        query_end, end = (
            len(owners) - owners[::-1].index(0),
            len(owners) - owners[::-1].index(1),
        )
        types = encoding.type_ids
        split = types.index(1) if 1 in types else second
        if first > query_end or query_end > second or not query_end <= split <= second:
            return None
        ids = ids_of(encoding)
        return cls(ids[:first], ids[query_end:second], ids[end:], split - query_end)

    @property
    def specials(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class SplitEncoder:
    """Tokenizes the query once and each document once, and joins the ids."""

    takes_instruction = False

    def __init__(
        self, tokenizer: Tokenizer, template: Template, max_tokens: int, prompt: str
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self.max_tokens = max_tokens
        self._prompt = prompt

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,  # noqa: ARG002 (these models have no place for one)
        cut: Side,
    ) -> list[Encoded]:
        asked = ids_of(self._tokenizer.encode(self._prompt + query, add_special_tokens=False))
        texts = self._tokenizer.encode_batch_fast(list(documents), add_special_tokens=False)
        return [self._join(asked, ids_of(text), cut) for text in texts]

    def _join(self, query: Ids, document: Ids, cut: Side) -> Encoded:
        around = self._template
        room = self.max_tokens - around.specials
        kept_query, kept_document = fit(len(query), len(document), room)
        parts = (
            around.before,
            keep(query, kept_query, "right"),
            around.between,
            keep(document, kept_document, cut),
            around.after,
        )
        split = len(around.before) + kept_query + around.second_type_from
        whole = around.specials + len(query) + len(document)
        return Encoded(Pair(np.concatenate(parts), split), whole)


class WholeEncoder:
    """Renders query and document together, for chat templates, where text runs into the frame."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        render: Callable[[str, str, str | None], str],
        max_tokens: int,
        takes_instruction: bool,
    ) -> None:
        self._tokenizer = tokenizer
        self._render = render
        self.max_tokens = max_tokens
        self.takes_instruction = takes_instruction

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
    ) -> list[Encoded]:
        rendered = [self._render(query, text, instruction) for text in documents]
        whole = self._tokenizer.encode_batch_fast(rendered, add_special_tokens=False)
        return [
            Encoded(self._pair(ids_of(encoding)), len(encoding.ids))
            if len(encoding.ids) <= self.max_tokens
            else Encoded(self._shorten(query, text, instruction, cut), len(encoding.ids))
            for encoding, text in zip(whole, documents, strict=True)
        ]

    def _shorten(self, query: str, text: str, instruction: str | None, cut: Side) -> Pair:
        """Cut the document, and the query only if it alone is too long, until both fit."""
        frame = len(self._tokens(self._render("", "", instruction)))
        asked = self._tokenizer.encode(query, add_special_tokens=False)
        given = self._tokenizer.encode(text, add_special_tokens=False)
        room = self.max_tokens - frame
        while room > 0:
            kept_query, kept = fit(len(asked.ids), len(given.ids), room)
            shorter = part(text, given, kept, cut)
            ids = self._tokens(
                self._render(part(query, asked, kept_query, "right"), shorter, instruction)
            )
            if len(ids) <= self.max_tokens:
                return self._pair(ids)
            room -= len(ids) - self.max_tokens
        return self._pair(ids_of(self._tokenizer.encode(self._render("", "", instruction))))

    def _tokens(self, text: str) -> Ids:
        return ids_of(self._tokenizer.encode(text, add_special_tokens=False))

    def _pair(self, ids: Ids) -> Pair:
        return Pair(ids, len(ids))


def part(text: str, encoding: Encoding, count: int, cut: Side) -> str:
    """The stretch of `text` that its first or last `count` tokens cover."""
    if count <= 0:
        return ""
    if count >= len(encoding.ids):
        return text
    if cut == "right":
        return text[: encoding.offsets[count - 1][1]]
    return text[encoding.offsets[len(encoding.ids) - count][0] :]
